"""`python -m pocketcxr`: the pocketcxr command, as torchrun -m starts it."""

from pocketcxr.apps.cli.main import main

if __name__ == "__main__":
    main()
