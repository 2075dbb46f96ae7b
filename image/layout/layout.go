// Package layout holds the facts of the appliance's card in one place: which
// partitions there are, how large, what they are for and where they are mounted.
// The builder, the slots, the provisioning and the technician's tool all read them here.
//
// It never writes a card; it reads partition tables and checks them against the facts.
package layout

import (
	"fmt"
	"strings"
)

// Sizes in bytes.
const (
	MiB = 1 << 20

	// SectorSize of every card that a Raspberry Pi boots from.
	SectorSize = 512
)

// DiskSignature is in the card's master boot record. It is the same on every card, so
// that the kernel command line of a slot names its root by PARTUUID without knowing the card.
const DiskSignature = 0x4c534445

// Slot is one of the two systems on a card.
type Slot string

// Slots.
const (
	A Slot = "A"
	B Slot = "B"
)

// Other is the slot that is not s.
func (s Slot) Other() Slot {
	if s == A {
		return B
	}
	return A
}

// Valid reports whether s names a slot.
func (s Slot) Valid() bool { return s == A || s == B }

// BootPartition is the number of the slot's boot partition: what autoboot.txt names.
func (s Slot) BootPartition() int {
	if s == B {
		return BootB
	}
	return BootA
}

// RootPartition is the number of the slot's root partition.
func (s Slot) RootPartition() int {
	if s == B {
		return RootB
	}
	return RootA
}

// SlotOfBoot finds the slot whose boot partition has the number.
func SlotOfBoot(partition int) (Slot, bool) {
	switch partition {
	case BootA:
		return A, true
	case BootB:
		return B, true
	}
	return "", false
}

// Partition numbers. The fourth is the extended one that holds 5 to 7.
const (
	Selector = 1
	BootA    = 2
	BootB    = 3
	Extended = 4
	RootA    = 5
	RootB    = 6
	Data     = 7
)

// MBR partition types.
const (
	TypeFAT32    = 0x0c
	TypeExtended = 0x0f
	TypeLinux    = 0x83
)

// Partition is one part of the card.
type Partition struct {
	Number int    `json:"number"`
	Name   string `json:"name"`  // in the builder's files and in listings
	Label  string `json:"label"` // of its file system; empty where that has none
	Type   byte   `json:"type"`  // MBR type
	FS     string `json:"fs"`    // vfat, squashfs or ext4
	Bytes  int64  `json:"bytes"`
	Slot   Slot   `json:"slot,omitempty"`
	What   string `json:"what"`
}

// Partitions are all of them except the extended one, in the order of the card. The
// data partition grows to the end of the card at the first boot.
func Partitions() []Partition {
	return []Partition{
		{Selector, "selector", "LINESIDE", TypeFAT32, "vfat", 64 * MiB, "", "which slot starts, lineside.toml, certificates, STATUS.txt"},
		{BootA, "boot-a", "BOOT-A", TypeFAT32, "vfat", 256 * MiB, A, "firmware, kernel and command line of slot A"},
		{BootB, "boot-b", "BOOT-B", TypeFAT32, "vfat", 256 * MiB, B, "the same of slot B"},
		{RootA, "root-a", "", TypeLinux, "squashfs", 1024 * MiB, A, "system of slot A, read-only"},
		{RootB, "root-b", "", TypeLinux, "squashfs", 1024 * MiB, B, "the same of slot B"},
		{Data, "data", "lineside-data", TypeLinux, "ext4", 512 * MiB, "", "models, audit, imported configuration"},
	}
}

// ByNumber finds a partition of the card.
func ByNumber(n int) (Partition, bool) {
	for _, p := range Partitions() {
		if p.Number == n {
			return p, true
		}
	}
	return Partition{}, false
}

// PARTUUID names a partition on the kernel's command line, as in root=PARTUUID=….
func PARTUUID(partition int) string {
	return fmt.Sprintf("%08x-%02x", uint32(DiskSignature), partition)
}

// Where the running board mounts its parts, below the root. What only root may change
// stands beside what the daemon may: /data/lineside is mounted again as /var/lib/lineside,
// /data/config/current as /etc/lineside.
const (
	SelectorDir = "/selector" // partition 1, read-only except while something is written
	DataDir     = "/data"     // partition 7
	SlotsDir    = DataDir + "/slots"
	ConfigDir   = DataDir + "/config"
	DaemonDir   = DataDir + "/lineside"
	RunDir      = "/run/lineside-image" // made anew at every start
	CardDir     = RunDir + "/card"      // links to the card's partitions by their numbers, seconds before udev names them
	DataNote    = RunDir + "/data-lost" // a sentence, where the data partition had to be mended or made anew
)

// Files on the selector partition.
const (
	AutobootFile = "autoboot.txt"      // read by the firmware
	ConfigFile   = "lineside.toml"     // written by the technician
	StatusFile   = "STATUS.txt"        // written by the board
	ResetFile    = "FACTORY-RESET.txt" // asks the board to forget the plant
	VersionFile  = "version.txt"       // on each boot partition: the version of its slot
	CmdlineFile  = "cmdline.txt"       // on each boot partition
)

// Cmdline is the kernel command line of a slot, without what only one board's firmware adds.
func Cmdline(s Slot) string {
	return strings.Join([]string{
		"root=PARTUUID=" + PARTUUID(s.RootPartition()), "rootfstype=squashfs", "ro", "rootwait",
		"rauc.slot=" + string(s), "panic=10", "cgroup_enable=memory", "psi=1", "quiet",
	}, " ")
}
