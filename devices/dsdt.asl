/* SPDX-License-Identifier: MIT */
/*
 * What the machine has beyond ACPI's fixed hardware. Ports and lines agree with devices.h; PCI's memory window is the
 * hole between the top of low RAM and the APICs.
 *
 * Made into a C array by:  iasl -p dsdt -tc dsdt.asl
 */
DefinitionBlock ("", "DSDT", 2, "CHRONO", "CHRONOV ", 1)
{
    Name (\_S5, Package (4) { 5, 5, 0, 0 })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                        0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                        0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                             0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000)
            })
            /* INTA# to INTD# of every slot: IOAPIC pins 16 to 19. */
            Name (_PRT, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 16 },
                Package () { 0x0001FFFF, 1, 0, 17 },
                Package () { 0x0001FFFF, 2, 0, 18 },
                Package () { 0x0001FFFF, 3, 0, 19 },
                Package () { 0x0002FFFF, 0, 0, 17 },
                Package () { 0x0002FFFF, 1, 0, 18 },
                Package () { 0x0002FFFF, 2, 0, 19 },
                Package () { 0x0002FFFF, 3, 0, 16 },
                Package () { 0x0003FFFF, 0, 0, 18 },
                Package () { 0x0003FFFF, 1, 0, 19 },
                Package () { 0x0003FFFF, 2, 0, 16 },
                Package () { 0x0003FFFF, 3, 0, 17 },
                Package () { 0x0004FFFF, 0, 0, 19 },
                Package () { 0x0004FFFF, 1, 0, 16 },
                Package () { 0x0004FFFF, 2, 0, 17 },
                Package () { 0x0004FFFF, 3, 0, 18 },
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
                IRQNoFlags () { 8 }
            })
        }

        Device (PIT)
        {
            Name (_HID, EisaId ("PNP0100"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0040, 0x0040, 1, 4)
                IRQNoFlags () { 0 }
            })
        }

        Device (PEVT)
        {
            Name (_HID, "QEMU0001")
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0505, 0x0505, 1, 1)
            })
        }
    }
}
