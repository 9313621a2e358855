/** How files come in: dropped anywhere (folders too), pasted, picked. Nothing is read here, only handles are taken. */

import { MAX_FILES } from "./state";

export interface Incoming {
  /** With the folder, where a folder was dropped. */
  name: string;
  file: Blob;
}

/** Calls `take` with what comes in by any way, and `over` while something is dragged over the page. */
export function listenForFiles(take: (files: Incoming[]) => void, over: (isOver: boolean) => void): void {
  let depth = 0;
  const hover = (by: number) => {
    depth = Math.max(0, depth + by);
    over(depth > 0);
  };
  window.addEventListener("dragenter", (event) => {
    if (hasFiles(event.dataTransfer)) hover(1);
  });
  window.addEventListener("dragleave", (event) => {
    if (hasFiles(event.dataTransfer)) hover(-1);
  });
  window.addEventListener("dragover", (event) => {
    if (hasFiles(event.dataTransfer)) event.preventDefault();
  });
  window.addEventListener("drop", (event) => {
    hover(-depth);
    if (!hasFiles(event.dataTransfer) || event.dataTransfer === null) return;
    event.preventDefault();
    void droppedFiles(event.dataTransfer).then(take);
  });
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files.map(named));
  });
}

/** What was picked with the browser's own dialog. */
export function pickedFiles(input: HTMLInputElement): Incoming[] {
  const files = [...(input.files ?? [])].map(named);
  // So that picking the same file again is a change again.
  input.value = "";
  return files;
}

function named(file: File): Incoming {
  return { name: file.webkitRelativePath || file.name, file };
}

function hasFiles(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes("Files") ?? false;
}

async function droppedFiles(transfer: DataTransfer): Promise<Incoming[]> {
  // All entries must be asked for before the first wait: the list is emptied after the event.
  const dropped = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const found: Incoming[] = [];
  for (const { entry, file } of dropped) {
    if (entry?.isDirectory) await collect(entry, "", found);
    else if (file !== null) found.push(named(file));
  }
  return found;
}

/** Adds the files below `entry`, folder by folder, up to one more than the page takes. */
async function collect(entry: FileSystemEntry, folder: string, found: Incoming[]): Promise<void> {
  if (found.length > MAX_FILES || entry.name.startsWith(".")) return;
  const path = folder + entry.name;
  if (isFile(entry)) {
    const file = await new Promise<File | null>((resolve) => entry.file(resolve, () => resolve(null)));
    if (file !== null) found.push({ name: path, file });
  } else if (isFolder(entry)) {
    for (const inner of await entriesOf(entry)) await collect(inner, `${path}/`, found);
  }
}

/** A folder's entries by name; the browser hands them out in portions. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const entries: FileSystemEntry[] = [];
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (portion.length === 0) break;
    entries.push(...portion);
  }
  return entries.sort((one, other) => (one.name < other.name ? -1 : 1));
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}
