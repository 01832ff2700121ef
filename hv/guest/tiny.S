# The tiny guest: one boot sector that behaves enough like a guest to exercise the life cycle of a
# real one. It needs a BIOS, COM1, the ACPI ports at 0x600 (QEMU's pc and q35) and a disk of 1 MiB or
# more (SeaBIOS refuses smaller ones).
#
# It says on COM1:
#   GANTRY-GUEST UP boot=<n>   n counts the boots of this disk, kept in its sector 1
#   TICK <n>                   about every second, counted in memory
#   POWERDOWN                  the ACPI power button was pressed; it then powers itself off
#   IGNORE <0|1>               whether it ignores the power button from now on
#   DISK-ERROR                 the disk could not be read or written
# It obeys single characters: q powers off, r resets, i toggles IGNORE.
#
# Rebuild tiny.img with build.sh after every change.

	.code16
	.globl	_start

	.set	COUNTER, 0x8000		# the sector with the boot counter, in memory
	.set	COM1, 0x3f8
	.set	PM1_STS, 0x600
	.set	PM1_EN, 0x602
	.set	PM1_CNT, 0x604
	.set	BIOS_TICKS, 0x46c	# counts up 18.2 times a second

_start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$_start, %sp
	movb	%dl, drive

	# The power button is polled: its interrupt (IRQ 9) stays masked, nobody would handle it.
	inb	$0xa1, %al
	orb	$0x02, %al
	outb	%al, $0xa1
	movw	$PM1_EN, %dx
	movw	$0x0100, %ax
	outw	%ax, %dx
	sti

	movb	$0x42, %ah		# read the counter
	call	disk
	incl	COUNTER
	movb	$0x43, %ah		# write it back
	call	disk
	movw	$text_up, %si
	movl	COUNTER, %eax
	call	say_number

	movl	BIOS_TICKS, %eax
	movl	%eax, ticked_at

idle:
	hlt				# the timer wakes us 18 times a second

	movw	$PM1_STS, %dx
	inw	%dx, %ax
	cmpw	$0xffff, %ax		# no such port: a machine without ACPI
	je	keys
	testb	$0x01, %ah
	jz	keys
	movw	$0x0100, %ax		# seen: clear it
	outw	%ax, %dx
	cmpb	$0, ignoring
	jne	keys
	movw	$text_powerdown, %si
	call	say
	call	newline
	jmp	power_off

keys:
	movw	$COM1 + 5, %dx
	inb	%dx, %al
	testb	$0x01, %al
	jz	clock
	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	je	power_off
	cmpb	$'r', %al
	je	reset
	cmpb	$'i', %al
	jne	clock
	xorb	$1, ignoring
	movw	$text_ignore, %si
	movzbl	ignoring, %eax
	call	say_number

clock:
	movl	BIOS_TICKS, %eax
	movl	%eax, %ebx
	subl	ticked_at, %eax
	cmpl	$18, %eax
	jb	idle
	movl	%ebx, ticked_at
	incl	n_ticks
	movw	$text_tick, %si
	movl	n_ticks, %eax
	call	say_number
	jmp	idle

reset:
	movb	$0xfe, %al		# the keyboard controller pulls the reset line
	outb	%al, $0x64
	jmp	idle

power_off:
	movw	$PM1_CNT, %dx
	movw	$0x2000, %ax		# sleep enable, type 0: soft off
	outw	%ax, %dx
	jmp	idle

# Reads (ah = 0x42) or writes (0x43) the counter's sector.
disk:
	movb	drive, %dl
	movb	$0, %al
	movw	$packet, %si
	int	$0x13
	jnc	1f
	movw	$text_disk_error, %si
	call	say
	call	newline
1:	ret

# Says the text at si, then eax in decimal, then a new line.
say_number:
	pushl	%eax
	call	say
	popl	%eax
	movl	$10, %ecx
	xorw	%di, %di
1:	xorl	%edx, %edx
	divl	%ecx
	pushw	%dx
	incw	%di
	testl	%eax, %eax
	jnz	1b
2:	popw	%ax
	addb	$'0', %al
	call	put
	decw	%di
	jnz	2b
newline:
	movb	$'\r', %al
	call	put
	movb	$'\n', %al
	# falls through
put:
	pushw	%ax
	movw	$COM1 + 5, %dx
1:	inb	%dx, %al
	testb	$0x20, %al
	jz	1b
	popw	%ax
	movw	$COM1, %dx
	outb	%al, %dx
	ret

say:
	lodsb
	testb	%al, %al
	jz	1f
	call	put
	jmp	say
1:	ret

text_up:	.asciz	"GANTRY-GUEST UP boot="
text_tick:	.asciz	"TICK "
text_ignore:	.asciz	"IGNORE "
text_powerdown:	.asciz	"POWERDOWN"
text_disk_error:.asciz	"DISK-ERROR"

packet:		.byte	16, 0		# for int 0x13: one sector, number 1, to COUNTER
		.word	1, COUNTER, 0
		.quad	1
ticked_at:	.long	0
n_ticks:	.long	0
ignoring:	.byte	0
drive:		.byte	0

	.org	510
	.word	0xaa55
