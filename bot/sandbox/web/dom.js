// Making elements. Text always becomes a text node: nothing that people wrote is ever read as HTML.

/** An element with attributes and children; `on` holds listeners, null and false attributes are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "value" || name === "checked" || name === "selected" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/**
 * Make `container` show `items` in order, keeping the element of each that has not changed, so that focus, scroll
 * and what somebody is typing survive. `keep(item)` names it and says what it looks like; `build(item)` makes it.
 */
export function reconcile(container, items, keep, build) {
  const before = container.shown ?? new Map();
  const after = new Map();
  let place = container.firstChild;
  for (const item of items) {
    const [key, looks] = keep(item);
    const known = before.get(key);
    const element = known && known.looks === looks ? known.element : build(item);
    after.set(key, { looks, element });
    before.delete(key);
    if (known && known.element !== element && known.element === place) place = place.nextSibling;
    if (known && known.element !== element) known.element.remove();
    if (element === place) place = place.nextSibling;
    else container.insertBefore(element, place);
  }
  for (const { element } of before.values()) {
    if (element === place) place = place.nextSibling;
    element.remove();
  }
  container.shown = after;
}
