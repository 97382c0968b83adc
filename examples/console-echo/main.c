/* SPDX-License-Identifier: MIT */
/*
 * A command interpreter on the serial port, with interrupts, and with a buffer that a long line overflows.
 *
 * `name TEXT` copies TEXT into a struct session, whose next member is the function that `hello` calls. Sixteen bytes fit.
 * What the user types arrives when the user types it: a recording keeps each byte and the moment of its arrival.
 */
#include "kernel.h"

#define LINE 128
#define INPUT 256
#define NAME 16
#define HZ 100

struct session {
	char name[NAME];
	void (*greet)(const struct session *s);
	unsigned commands;
};

struct command {
	const char *name, *help;
	void (*run)(struct session *s, const char *args);
};

static void greet_politely(const struct session *s)
{
	print("Good day, %s.\n", s->name);
}

static struct session session = {"stranger", greet_politely, 0};

/* Bytes between the interrupt handler, which adds at `in`, and the main loop, which takes at `out`. */
static volatile uint8_t input[INPUT];
static volatile unsigned input_in, input_out;
static volatile unsigned ticks;

static uint8_t idt[4096] __attribute__((aligned(4096)));

/* --- Interrupts --- */

static void serial_interrupt(void)
{
	int c;

	while ((c = serial_get()) >= 0)
		if (input_in - input_out < INPUT) {
			input[input_in % INPUT] = (uint8_t)c;
			input_in++;
		}
}

static void timer_interrupt(void)
{
	ticks++;
}

static uint8_t read_byte(void)
{
	uint8_t c;

	irq_disable();
	while (input_in == input_out)
		irq_wait();
	c = input[input_out % INPUT];
	input_out++;
	irq_enable();
	return c;
}

/* --- Lines --- */

static void read_line(char line[LINE])
{
	unsigned n = 0;

	for (;;) {
		uint8_t c = read_byte();

		if (c == '\r' || c == '\n')
			break;
		if ((c == 8 || c == 127) && n) {
			n--;
			print("\b \b");
		} else if (c >= ' ' && c < 127 && n < LINE - 1) {
			line[n++] = (char)c;
			serial_put((char)c);
		}
	}
	line[n] = 0;
	print("\n");
}

/* Cuts the first word off: returns what follows it. */
static const char *split(char *line)
{
	while (*line && *line != ' ')
		line++;
	if (!*line)
		return line;
	*line++ = 0;
	while (*line == ' ')
		line++;
	return line;
}

static void copy_string(char *to, const char *from)
{
	while ((*to++ = *from++))
		;
}

/* --- Commands --- */

static void run_help(struct session *s, const char *args);

static void run_echo(struct session *s, const char *args)
{
	(void)s;
	print("%s\n", args);
}

static void run_name(struct session *s, const char *args)
{
	copy_string(s->name, args);
	print("I shall remember that.\n");
}

static void run_hello(struct session *s, const char *args)
{
	(void)args;
	s->greet(s);
}

static void run_sum(struct session *s, const char *args)
{
	uint64_t sum = 0, number = 0;

	(void)s;
	for (;; args++) {
		if (*args >= '0' && *args <= '9') {
			number = number * 10 + (uint64_t)(*args - '0');
			continue;
		}
		sum += number;
		number = 0;
		if (!*args)
			break;
	}
	print("%lu\n", sum);
}

static void run_uptime(struct session *s, const char *args)
{
	(void)args;
	print("%u ticks, %u commands\n", ticks, s->commands);
}

static void run_crash(struct session *s, const char *args)
{
	(void)s;
	(void)args;
	__asm__ volatile("ud2");
}

static void run_poweroff(struct session *s, const char *args)
{
	(void)s;
	(void)args;
	print("bye\n");
	machine_exit(0);
}

static const struct command commands[] = {
	{"help", "this list", run_help},
	{"echo", "TEXT: says it", run_echo},
	{"sum", "N...: adds numbers", run_sum},
	{"name", "TEXT: tells me your name", run_name},
	{"hello", "greets you", run_hello},
	{"uptime", "ticks of the timer since power-on", run_uptime},
	{"crash", "executes an invalid instruction", run_crash},
	{"poweroff", "ends the run", run_poweroff},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void run_help(struct session *s, const char *args)
{
	(void)s;
	(void)args;
	for (unsigned i = 0; i < COMMANDS; i++)
		print("  %s %s\n", commands[i].name, commands[i].help);
}

static void execute(struct session *s, char *line)
{
	const char *args = split(line);

	if (!*line)
		return;
	s->commands++;
	for (unsigned i = 0; i < COMMANDS; i++)
		if (!strcmp(line, commands[i].name)) {
			commands[i].run(s, args);
			return;
		}
	print("%s? Try help.\n", line);
}

void kmain(void)
{
	char line[LINE];

	serial_init();
	trap_init(idt);
	irq_install(IRQ_TIMER, timer_interrupt);
	irq_install(IRQ_SERIAL, serial_interrupt);
	timer_start(HZ);
	serial_enable_interrupt();
	irq_enable();
	print("console-echo: type help\n");
	for (;;) {
		print("> ");
		read_line(line);
		execute(&session, line);
	}
}
