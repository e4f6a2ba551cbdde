// Numbers and times as people read them.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export const count = (number) => grouped.format(number);

/** 950, 12.3k, 4.56M */
export function short(number) {
  const units = ["", "k", "M", "G", "T"];
  return scaled(number, 1000, units, "");
}

/** 950 B, 12.3 KiB, 4.56 MiB */
export function bytes(number) {
  return scaled(number, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], " ");
}

/** 3 d 4 h, 12 min, 7 s: the two largest units. */
export function duration(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([length]) => seconds >= length);
  if (first < 0) return "0 s";
  const parts = units.slice(first, first + 2).map(([length, unit], index) => {
    const whole = Math.floor(index === 0 ? seconds / length
      : (seconds % units[first][0]) / length);
    return [whole, unit];
  });
  return parts.filter(([whole]) => whole > 0).map((part) => part.join(" ")).join(" ");
}

/** The time of day here. */
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

function scaled(number, step, units, space) {
  let unit = 0;
  let value = number;
  while (Math.abs(value) >= step && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  const digits = unit === 0 ? (value < 10 && value % 1 ? 1 : 0)
    : Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${space}${units[unit]}`;
}
