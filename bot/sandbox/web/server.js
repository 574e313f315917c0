// Talking with the sandbox: its address holds the key, so every path here is a relative one.

const PAUSE_MILLISECONDS = 1000; // before a server that does not answer is asked again
const BREATH_MILLISECONDS = 80; // between two looks: while much changes, some changes share one

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What does not change while the page is open: seats, people, shortcuts, steps. */
export const setting = async () => (await fetch("setting")).json();

/** Where a file of the workspace is, for this person. */
export const fileUrl = (seat, id) => `files/${encodeURIComponent(id)}?seat=${encodeURIComponent(seat)}`;

/** Do something as this person: `{problem, errors}`. */
export const gesture = (seat, what) => post("gesture", { seat, gesture: what });

/** Have done what a step does by itself: `{problem, said}`. */
export const takeStep = (number) => post(`steps/${number}`, {});

async function post(path, content) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content) });
    if (!answer.ok) return { problem: await answer.text() };
    return await answer.json();
  } catch {
    return { problem: "The sandbox does not answer: errata demo has ended, or is ending." };
  }
}

/** Tell `see` all that this person sees, whenever it changes, until `signal` says to stop; `gone` while nobody answers. */
export async function watch(seat, see, gone, signal) {
  let seen = -1;
  while (!signal.aborted) {
    try {
      const answer = await fetch(`sight?seat=${encodeURIComponent(seat)}&seen=${seen}`, { signal });
      if (!answer.ok) throw new Error(await answer.text());
      const sight = await answer.json();
      gone(false);
      if (sight && !signal.aborted) {
        seen = sight.revision;
        see(sight);
        await pause(BREATH_MILLISECONDS);
      }
    } catch (error) {
      if (signal.aborted) return;
      gone(true);
      await pause(PAUSE_MILLISECONDS);
    }
  }
}
