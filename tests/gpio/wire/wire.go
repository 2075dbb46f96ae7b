// Package wire is what the two halves of the GPIO test agree on: the machine's lines
// and the words by which the program inside asks the one outside to press the button.
//
// It does nothing.
package wire

// Chip is the label of the GPIO chip of QEMU's machine "virt": a PL061 with eight lines.
const Chip = "9030000.pl061"

// Lines of the chip. Those with LEDs are driven by the kernel's gpio-leds, the button is
// wired to QEMU's power button, the rest is free.
const (
	Status, Red, Button, Green, Blue  = 0, 1, 3, 2, 4
	StackRed, StackYellow, StackGreen = 5, 6, 7
)

// Names of the lines, in their order.
var Names = []string{"status", "red", "green", "button", "blue", "stack-red", "stack-yellow", "stack-green"}

// Words on the console.
const (
	PressShort = "guest: press the button"
	PressLong  = "guest: hold the button"
	Release    = "guest: release the button"
	Ended      = "guest: ended with"
)
