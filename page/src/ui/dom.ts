/** Short ways to make and find elements. Data only ever becomes text, never markup. */

export type Child = Node | string;

/** A new element with attributes and children. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** The element of index.html with that id; throws where index.html and the program do not fit. */
export function required<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} with the id ${id}`);
  return found;
}

/** A finding's or file's name cut short by CSS, whole in its title. */
export function named(className: string, text: string): HTMLElement {
  return element("span", { class: className, title: text }, text);
}

/** Sets text only where it differs, so that a live region speaks once. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
