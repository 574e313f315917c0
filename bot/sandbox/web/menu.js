// One menu for everything: it opens beside its button, takes arrow keys and closes by itself.

import { make } from "./dom.js";

const menu = document.getElementById("menu");
let opener = null;

/** Open the menu below `anchor` with items `{words, choose}`. */
export function openMenu(anchor, items) {
  menu.replaceChildren(...items.map(({ words, choose }) => {
    const item = make("button", { type: "button", role: "menuitem", tabindex: "-1" }, words);
    item.addEventListener("click", () => {
      menu.hidePopover();
      anchor.focus();
      choose();
    });
    return item;
  }));
  // A popover below a modal dialog could not be reached: it goes where its button is.
  (anchor.closest("dialog") ?? document.body).append(menu);
  menu.showPopover();
  opener = anchor;
  anchor.setAttribute("aria-expanded", "true");
  const spot = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = spot.bottom + height + 8 < window.innerHeight;
  menu.style.left = `${Math.max(8, Math.min(spot.right - width, window.innerWidth - width - 8))}px`;
  menu.style.top = `${below ? spot.bottom + 4 : Math.max(8, spot.top - height - 4)}px`;
  menu.firstElementChild?.focus();
}

menu.addEventListener("beforetoggle", (event) => {
  if (event.newState === "closed") opener?.setAttribute("aria-expanded", "false");
});

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children];
  const place = items.indexOf(document.activeElement);
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: items.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  items[(next + items.length) % items.length]?.focus();
});
