/* SPDX-License-Identifier: MIT */
/* Interrupt lines: where each one goes. The levels are remembered at the controllers' inputs. */
#include "devices/devices.h"

void cv_irq_set(struct cv_irq *irq, unsigned line, bool level)
{
	if (line < 16)
		cv_pic_set(irq->pic, line, level);
	cv_ioapic_set(irq->ioapic, line == 0 ? 2 : line, level);
}

void cv_irq_pulse(struct cv_irq *irq, unsigned line)
{
	cv_irq_set(irq, line, false);
	cv_irq_set(irq, line, true);
}
