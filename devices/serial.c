/* SPDX-License-Identifier: MIT */
/*
 * 16550A UART (TI TL16C550C), COM1.
 *
 * Transmission is instantaneous: a byte written is out, and THR is empty again. Reception fills a FIFO of 16 (of one
 * byte while FIFOs are off); bytes below the trigger level raise the timeout interrupt at once instead of after four
 * character times. The interrupt leaves the chip only while MCR's OUT2 is set, as on a PC, and never in loopback.
 * The line makes a fresh edge for each THR that became empty.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

enum { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };
enum { IER_RDI = 1, IER_THRI = 2, IER_RLSI = 4, IER_MSI = 8 };
enum { IIR_NONE = 1, IIR_MSI = 0, IIR_THRI = 2, IIR_RDI = 4, IIR_RLSI = 6, IIR_TIMEOUT = 0xc, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_PE = 4, LSR_FE = 8, LSR_BI = 0x10, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum { MSR_DCTS = 1, MSR_DDSR = 2, MSR_TERI = 4, MSR_DDCD = 8, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40,
       MSR_DCD = 0x80 };

static bool fifos_on(const struct cv_serial *s)
{
	return s->fcr & FCR_ENABLE;
}

static unsigned capacity(const struct cv_serial *s)
{
	return fifos_on(s) ? CV_SERIAL_FIFO : 1;
}

static unsigned trigger(const struct cv_serial *s)
{
	static const uint8_t levels[4] = {1, 4, 8, 14};

	return fifos_on(s) ? levels[s->fcr >> 6] : 1;
}

/* The interrupt of highest priority, as IIR names it. */
static uint8_t interrupt_id(const struct cv_serial *s)
{
	if ((s->ier & IER_RLSI) && (s->lsr & (LSR_OE | LSR_PE | LSR_FE | LSR_BI)))
		return IIR_RLSI;
	if ((s->ier & IER_RDI) && s->count)
		return s->count >= trigger(s) ? IIR_RDI : IIR_TIMEOUT;
	if ((s->ier & IER_THRI) && s->thr_pending)
		return IIR_THRI;
	if ((s->ier & IER_MSI) && (s->msr & 0xf))
		return IIR_MSI;
	return IIR_NONE;
}

static void update(struct cv_serial *s)
{
	bool out = interrupt_id(s) != IIR_NONE && (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	if (out == s->out)
		return;
	s->out = out;
	cv_irq_set(s->irq, s->line, out);
}

/* --- Receiver --- */

static void receive(struct cv_serial *s, uint8_t v)
{
	if (s->count >= capacity(s)) {
		s->lsr |= LSR_OE;
		if (!fifos_on(s))
			s->rx[s->head] = v;
		return;
	}
	s->rx[(s->head + s->count) % CV_SERIAL_FIFO] = v;
	s->count++;
	s->lsr |= LSR_DR;
}

static uint8_t read_data(struct cv_serial *s)
{
	uint8_t v;

	if (!s->count)
		return 0;
	v = s->rx[s->head];
	s->head = (s->head + 1) % CV_SERIAL_FIFO;
	s->count--;
	if (!s->count)
		s->lsr &= (uint8_t)~LSR_DR;
	update(s);
	return v;
}

static void clear_rx(struct cv_serial *s)
{
	s->head = s->count = 0;
	memset(s->rx, 0, sizeof(s->rx));
	s->lsr &= (uint8_t)~(LSR_DR | LSR_OE | LSR_PE | LSR_FE | LSR_BI);
}

size_t cv_serial_room(void *dev)
{
	const struct cv_serial *s = dev;
	bool ready = s->mcr_written ? s->mcr & MCR_RTS : s->listening;

	if (!ready || (s->mcr & MCR_LOOP))
		return 0;
	return capacity(s) - s->count;
}

void cv_serial_put(void *dev, const uint8_t *p, size_t n)
{
	struct cv_serial *s = dev;
	size_t i;

	if (s->mcr & MCR_LOOP)
		return; /* the input pin is disconnected */
	for (i = 0; i < n; i++)
		receive(s, p[i]);
	update(s);
}

/* --- Transmitter --- */

static void write_data(struct cv_serial *s, uint8_t v)
{
	s->thr_pending = false;
	update(s);
	if (s->mcr & MCR_LOOP)
		receive(s, v);
	else
		cv_machine_console_out(s->m, &v, 1);
	s->thr_pending = true;
	update(s);
}

/* --- Registers --- */

static void write_ier(struct cv_serial *s, uint8_t v)
{
	v &= 0x0f;
	/* Enabling the THR empty interrupt while THR is empty raises it (TL16C550C, table 5). */
	if ((v & IER_THRI) && !(s->ier & IER_THRI))
		s->thr_pending = true;
	s->ier = v;
	update(s);
}

static void write_fcr(struct cv_serial *s, uint8_t v)
{
	if (!(v & FCR_ENABLE))
		v = 0;
	/* Turning FIFOs on or off empties them. */
	if ((v & FCR_CLEAR_RX) || ((v ^ s->fcr) & FCR_ENABLE))
		clear_rx(s);
	if ((v & FCR_CLEAR_TX) || ((v ^ s->fcr) & FCR_ENABLE))
		s->thr_pending = true;
	s->fcr = v & (uint8_t)~(FCR_CLEAR_RX | FCR_CLEAR_TX);
	s->iir_fifo = fifos_on(s) ? IIR_FIFO : 0;
	update(s);
}

/* Modem inputs change: the lines, and the bits that say so. */
static void set_modem(struct cv_serial *s, uint8_t lines)
{
	uint8_t changed = (s->msr ^ lines) & 0xf0;

	s->msr |= (changed & MSR_CTS ? MSR_DCTS : 0) | (changed & MSR_DSR ? MSR_DDSR : 0) |
		  (changed & MSR_DCD ? MSR_DDCD : 0);
	if ((changed & MSR_RI) && !(lines & MSR_RI))
		s->msr |= MSR_TERI;
	s->msr = (s->msr & 0x0f) | lines;
}

static void write_mcr(struct cv_serial *s, uint8_t v)
{
	s->mcr = v & 0x1f;
	s->mcr_written = true;
	if (v & MCR_LOOP)
		set_modem(s, (uint8_t)((v & MCR_RTS ? MSR_CTS : 0) | (v & MCR_DTR ? MSR_DSR : 0) |
				       (v & MCR_OUT1 ? MSR_RI : 0) | (v & MCR_OUT2 ? MSR_DCD : 0)));
	else
		set_modem(s, MSR_CTS | MSR_DSR | MSR_DCD);
	update(s);
}

static uint8_t read_iir(struct cv_serial *s)
{
	uint8_t id = interrupt_id(s);

	if (id == IIR_THRI) {
		s->thr_pending = false;
		update(s);
	}
	return id | s->iir_fifo;
}

static uint8_t read_lsr(struct cv_serial *s)
{
	uint8_t v = s->lsr;

	s->listening = true;
	s->lsr &= (uint8_t)~(LSR_OE | LSR_PE | LSR_FE | LSR_BI);
	update(s);
	return v;
}

static uint8_t read_msr(struct cv_serial *s)
{
	uint8_t v = s->msr;

	s->msr &= 0xf0;
	update(s);
	return v;
}

static uint64_t serial_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_serial *s = dev;

	(void)size;
	switch (offset) {
	case REG_DATA:
		return s->lcr & LCR_DLAB ? s->divisor & 0xff : read_data(s);
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void serial_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct cv_serial *s = dev;
	uint8_t v = (uint8_t)value;

	(void)size;
	switch (offset) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			s->divisor = (uint16_t)((s->divisor & 0xff00) | v);
		else
			write_data(s, v);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB)
			s->divisor = (uint16_t)((s->divisor & 0x00ff) | v << 8);
		else
			write_ier(s, v);
		break;
	case REG_IIR:
		write_fcr(s, v);
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		write_mcr(s, v);
		break;
	case REG_SCR:
		s->scr = v;
		break;
	default: /* LSR and MSR are not written */
		break;
	}
}

/* --- Life --- */

static void serial_reset(void *dev)
{
	struct cv_serial *s = dev;

	s->ier = s->lcr = s->mcr = s->scr = s->fcr = s->iir_fifo = 0;
	clear_rx(s);
	s->lsr = LSR_THRE | LSR_TEMT;
	s->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	s->divisor = 12; /* 9600 baud */
	s->thr_pending = s->listening = s->mcr_written = s->out = false;
	cv_irq_set(s->irq, s->line, false);
}

static void serial_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_serial *s = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u8(w, s->ier);
	cv_put_u8(w, s->iir_fifo);
	cv_put_u8(w, s->lcr);
	cv_put_u8(w, s->mcr);
	cv_put_u8(w, s->msr);
	cv_put_u8(w, s->lsr);
	cv_put_u8(w, s->scr);
	cv_put_u8(w, s->fcr);
	cv_put_u16(w, s->divisor);
	cv_put_bytes(w, s->rx, sizeof(s->rx));
	cv_put_u8(w, s->head);
	cv_put_u8(w, s->count);
	cv_put_u8(w, (uint8_t)(s->thr_pending | s->listening << 1 | s->mcr_written << 2 | s->out << 3));
}

static void serial_load(void *dev, struct cv_rbuf *r)
{
	struct cv_serial *s = dev;
	unsigned flags;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	s->ier = cv_get_u8(r);
	s->iir_fifo = cv_get_u8(r);
	s->lcr = cv_get_u8(r);
	s->mcr = cv_get_u8(r);
	s->msr = cv_get_u8(r);
	s->lsr = cv_get_u8(r);
	s->scr = cv_get_u8(r);
	s->fcr = cv_get_u8(r);
	s->divisor = cv_get_u16(r);
	cv_get_bytes(r, s->rx, sizeof(s->rx));
	s->head = cv_get_u8(r);
	s->count = cv_get_u8(r);
	flags = cv_get_u8(r);
	s->thr_pending = flags & 1;
	s->listening = flags & 2;
	s->mcr_written = flags & 4;
	s->out = flags & 8;
	if (s->head >= CV_SERIAL_FIFO || s->count > CV_SERIAL_FIFO) {
		s->head = s->count = 0;
		if (!r->err)
			r->err = CV_E_CORRUPT;
	}
}

static const struct cv_device_ops ops = {
	.name = "serial", .reset = serial_reset, .save = serial_save, .load = serial_load, .free = free,
};
static const struct cv_io_ops io_ops = {serial_read, serial_write, 1};

struct cv_serial *cv_serial_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err)
{
	struct cv_serial *s = cv_device_new(m, sizeof(*s), &ops, err);

	if (!s)
		return NULL;
	s->m = m;
	s->irq = irq;
	s->line = CV_IRQ_COM1;
	cv_bus_add_pio(&m->bus, CV_PORT_COM1, 8, &io_ops, s);
	return s;
}
