// The time of a real-time clock as its registers have it: in BCD or binary, with 24 hours or twice 12
// (MC146818A data sheet, "Time, calendar and alarm locations").

/** Registers of the time; alarms are beside the first three. */
export const TIME = {
  seconds: 0,
  minutes: 2,
  hours: 4,
  weekday: 6,
  day: 7,
  month: 8,
  year: 9,
  century: 0x32,
} as const;
/** Registers of the alarm. */
export const ALARM = { seconds: 1, minutes: 3, hours: 5 } as const;
/** Of an alarm: any value will do. */
const ANY = 0xc0;

/** Bits of register B that say how. */
export const FORMAT = { HOURS_24: 2, BINARY: 4 } as const;
const PM = 0x80;

export const SECONDS_A_DAY = 86_400;
const MS = 1000;

/** Registers by number. */
export type TimeRegisters = Readonly<Record<number, number>>;

/** The registers at a time, in seconds since 1970. */
export function registersAt(seconds: number, format: number): TimeRegisters {
  const at = new Date(seconds * MS);
  const year = at.getUTCFullYear();
  return {
    [TIME.seconds]: written(at.getUTCSeconds(), format),
    [TIME.minutes]: written(at.getUTCMinutes(), format),
    [TIME.hours]: writtenHours(at.getUTCHours(), format),
    [TIME.weekday]: written(at.getUTCDay() + 1, format),
    [TIME.day]: written(at.getUTCDate(), format),
    [TIME.month]: written(at.getUTCMonth() + 1, format),
    [TIME.year]: written(year % 100, format),
    [TIME.century]: written(Math.floor(year / 100), format),
  };
}

/** The time that registers tell. The day of the week is not asked, and what is out of range runs over. */
export function timeOf(registers: TimeRegisters, format: number): number {
  const get = (register: number) => read(registers[register] ?? 0, format);
  const year = 100 * get(TIME.century) + get(TIME.year);
  const hours = readHours(registers[TIME.hours] ?? 0, format);
  const day = Date.UTC(2000, get(TIME.month) - 1, get(TIME.day), hours, get(TIME.minutes));
  // Set by itself: Date.UTC takes years below 100 for those of a century ago.
  const at = new Date(day + get(TIME.seconds) * MS);
  at.setUTCFullYear(at.getUTCFullYear() + year - 2000);
  return Math.floor(at.getTime() / MS);
}

/** The first second after `from` at which the alarm goes off, within a day; undefined: its values are no time. */
export function nextAlarm(from: number, alarm: TimeRegisters, format: number): number | undefined {
  const matches = (register: number, value: number) => {
    const wanted = alarm[register] ?? 0;
    return (wanted & ANY) === ANY || wanted === value;
  };
  for (let at = from + 1; at <= from + SECONDS_A_DAY;) {
    const hours = Math.floor(at / 3600) % 24, minutes = Math.floor(at / 60) % 60;
    if (!matches(ALARM.hours, writtenHours(hours, format))) at += 3600 - at % 3600;
    else if (!matches(ALARM.minutes, written(minutes, format))) at += 60 - at % 60;
    else if (!matches(ALARM.seconds, written(at % 60, format))) at++;
    else return at;
  }
  return undefined;
}

function written(value: number, format: number): number {
  return format & FORMAT.BINARY ? value : Math.floor(value / 10) << 4 | value % 10;
}

function writtenHours(hours: number, format: number): number {
  if (format & FORMAT.HOURS_24) return written(hours, format);
  return written(hours % 12 || 12, format) | (hours >= 12 ? PM : 0);
}

function read(value: number, format: number): number {
  return format & FORMAT.BINARY ? value : (value >> 4) * 10 + (value & 0xf);
}

function readHours(value: number, format: number): number {
  if (format & FORMAT.HOURS_24) return read(value, format);
  return read(value & ~PM, format) % 12 + (value & PM ? 12 : 0);
}
