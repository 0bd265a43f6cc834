// Times of pictures, such as "2023-07-14T09:30:00", in words. They have no time zone: a clock that the camera showed.

const inWords = (options) => {
  const format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
  return (text) => {
    const time = Date.parse(`${text.slice(0, 10)}T00:00:00Z`);
    return Number.isNaN(time) ? text : format.format(time);
  };
};

/** `Fri 14 Jul` */
export const dayOf = inWords({ weekday: "short", day: "numeric", month: "short" });
/** `14 July 2023` */
export const dateOf = inWords({ day: "numeric", month: "long", year: "numeric" });
const monthInWords = inWords({ month: "long", year: "numeric" });

/** `July 2023` of `2023-07`; "No date" of "". */
export const monthOf = (month) => (month ? monthInWords(`${month}-01`) : "No date");

/** `2023`, `July 2023` or `14 July 2023`, as precise as the text. */
const inItsWords = (text) => (text.length <= 4 ? text : text.length <= 7 ? monthOf(text) : dateOf(text));

/** The year, month or day `by` after another. */
function beside(text, by) {
  const [year, month = "1", day = "1"] = text.slice(0, 10).split("-");
  const step = [0, 0, 0].map((_, unit) => (unit === Math.min(2, (text.length - 4) / 3) ? by : 0));
  const there = new Date(Date.UTC(Number(year) + step[0], Number(month) - 1 + step[1], Number(day) + step[2]));
  return there.toISOString().slice(0, Math.min(10, text.length));
}

/** The year after another. */
export const nextYear = (year) => beside(year, 1);

/** The time from `after` until before `before` in words; either may be empty. */
export function rangeOf(after, before) {
  const times = [after, before].filter(Boolean);
  if (times.every((time) => time.length > 4 && time.length <= 10 && time.endsWith("-01"))) {
    return rangeOf(after.slice(0, -3), before.slice(0, -3)); // of whole months or years
  }
  if (!after) return `before ${inItsWords(before)}`;
  if (!before) return `since ${inItsWords(after)}`;
  const last = before.length > 10 ? before.slice(0, 10) : beside(before, -1);
  return last === after.slice(0, 10) ? inItsWords(after) : `${inItsWords(after)} to ${inItsWords(last)}`;
}

const FEW = 6; // pictures of a month, on average

/** Sections of months, {key, title, n}; of years where the months have few pictures. Those without a date stay. */
export function notTooSmall(months) {
  const n = months.reduce((sum, month) => sum + month.n, 0);
  if (n >= FEW * months.length) return months;
  const years = new Map();
  for (const month of months) {
    const key = month.key.slice(0, 4);
    const year = years.get(key) ?? { key, title: key || month.title, n: 0 };
    years.set(key, { ...year, n: year.n + month.n });
  }
  return [...years.values()];
}
