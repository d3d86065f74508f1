import { assertEquals } from "@std/assert";
import { TestLine, TestSink } from "../testing.ts";
import { Uart, UART_BACKLOG } from "./uart.ts";

const OUT2 = 8, LOOP = 0x10;

function setup() {
  const sink = new TestSink();
  const line = new TestLine();
  return { sink, line, uart: new Uart(sink, line) };
}
const text = (s: string) => new TextEncoder().encode(s);

Deno.test("Uart sends what is written to THR when DLAB is clear", () => {
  const { uart, sink } = setup();
  for (const byte of text("hi")) uart.write(0, 1, byte);
  assertEquals(sink.text, "hi");
  assertEquals(uart.read(5, 1), 0x60);
});

Deno.test("Uart keeps the divisor apart from data and IER when DLAB is set", () => {
  const { uart, sink } = setup();
  uart.write(1, 1, 0x05);
  uart.write(3, 1, 0x83);
  uart.write(0, 1, 0x34);
  uart.write(1, 1, 0x12);
  assertEquals([uart.read(0, 1), uart.read(1, 1)], [0x34, 0x12]);
  uart.write(3, 1, 0x03);
  assertEquals(uart.read(1, 1), 0x05);
  assertEquals(sink.text, "");
});

Deno.test("Uart splits a wider access into byte registers", () => {
  const { uart, sink } = setup();
  uart.write(0, 2, 0x0f41);
  assertEquals(sink.text, "A");
  assertEquals(uart.read(1, 1), 0x0f);
  uart.write(7, 1, 0x5a);
  assertEquals(uart.read(7, 2), 0xff5a);
});

Deno.test("Uart interrupts for an empty transmitter, until IIR is read, and once more a byte", () => {
  const { uart, line } = setup();
  uart.write(4, 1, OUT2);
  uart.write(1, 1, 2);
  assertEquals([line.level, line.rises], [true, 1]);
  assertEquals(uart.read(2, 1), 2);
  assertEquals(line.level, false);
  assertEquals(uart.read(2, 1), 1);
  uart.write(0, 1, 0x41);
  uart.write(0, 1, 0x42);
  assertEquals([line.level, line.rises], [true, 3]);
});

Deno.test("Uart holds its interrupt back when OUT2 is off", () => {
  const { uart, line } = setup();
  uart.write(1, 1, 2);
  assertEquals(line.level, false);
  assertEquals(uart.read(2, 1), 2);
});

Deno.test("Uart.receive() feeds the guest in order and is bounded", () => {
  const { uart, line } = setup();
  uart.write(4, 1, OUT2);
  uart.write(1, 1, 1);
  assertEquals(uart.receive(text("abc")), 3);
  assertEquals(line.level, true);
  assertEquals(uart.read(2, 1), 4);
  const got = [];
  while (uart.read(5, 1) & 1) got.push(uart.read(0, 1));
  assertEquals(String.fromCharCode(...got), "abc");
  assertEquals(line.level, false);
  assertEquals(uart.receive(new Uint8Array(3 * UART_BACKLOG)), UART_BACKLOG);
});

const TRIGGERS = [[0x01, 1], [0x41, 4], [0x81, 8], [0xc1, 14]] as const;
for (const [fcr, level] of TRIGGERS) {
  Deno.test(`Uart tells data from timeout at the trigger level ${level}`, () => {
    const { uart } = setup();
    uart.write(2, 1, fcr);
    uart.write(1, 1, 1);
    uart.receive(new Uint8Array(level));
    assertEquals(uart.read(2, 1), 0xc4);
    uart.read(0, 1);
    assertEquals(uart.read(2, 1), level === 1 ? 0xc1 : 0xcc);
  });
}

Deno.test("Uart talks to itself when looped back, and overruns beyond its FIFO", () => {
  const { uart, sink, line } = setup();
  uart.write(2, 1, 1);
  uart.write(1, 1, 0x0f);
  uart.write(4, 1, LOOP | OUT2);
  for (let i = 0; i < 17; i++) uart.write(0, 1, i);
  assertEquals(sink.text, "");
  assertEquals(line.level, false);
  assertEquals(uart.read(2, 1), 0xc6);
  assertEquals(uart.read(5, 1), 0x63);
  assertEquals(uart.read(5, 1), 0x61);
  assertEquals(uart.read(0, 1), 0);
});

Deno.test("Uart keeps the newest character when there is no FIFO, and empties one on command", () => {
  const { uart } = setup();
  uart.write(4, 1, LOOP);
  for (const byte of [1, 2, 3]) uart.write(0, 1, byte);
  assertEquals([uart.read(5, 1), uart.read(0, 1), uart.read(5, 1)], [0x63, 3, 0x60]);
  uart.write(2, 1, 1);
  for (const byte of [4, 5, 6]) uart.write(0, 1, byte);
  assertEquals(uart.read(0, 1), 4);
  uart.write(2, 1, 3);
  assertEquals(uart.read(5, 1), 0x60);
});

Deno.test("Uart drives the modem inputs from the outputs when looped back", () => {
  const { uart } = setup();
  assertEquals(uart.read(6, 1), 0xb0);
  uart.write(4, 1, LOOP | 0x05);
  assertEquals(uart.read(6, 1), 0x69, "CTS and DCD changed");
  assertEquals(uart.read(6, 1), 0x60);
  uart.write(4, 1, 0);
  assertEquals(uart.read(6, 1), 0xbd, "and RI has fallen");
});
