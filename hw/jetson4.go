package hw

import "strings"

// JetPack 4, the last for Jetson Nano and TX2, has drivers of its own where later kernels
// have hwmon. Their files are known from the programs that read them.

// findOldRails adds the INA3221 channels of JetPack 4's iio driver. Its values are mV and mA.
func (b *Board) findOldRails() (rails []rail) {
	const driver = "sys/bus/i2c/drivers/ina3221x"
	for _, chip := range b.tree.list(driver) {
		for _, dev := range b.tree.list(driver + "/" + chip) {
			if !strings.HasPrefix(dev, "iio") { // iio:device0, iio_device
				continue
			}
			base := driver + "/" + chip + "/" + dev + "/"
			for _, n := range []string{"0", "1", "2"} {
				if name := b.str(base + "rail_name_" + n); name != "" && name != "NC" {
					rails = append(rails, b.addRail(name, base+"in_voltage"+n+"_input", base+"in_current"+n+"_input"))
				}
			}
		}
	}
	return rails
}

// findOldFan adds JetPack 4's fan. Its tachometer counts only where it is enabled.
func (b *Board) findOldFan() {
	const base = "sys/devices/pwm-fan/"
	if b.tree.has(base + "cur_pwm") {
		b.addFile(FanDuty, "pwm-fan", base+"cur_pwm", scaled(100.0/255))
	}
	if b.str(base+"tach_enable") == "1" {
		b.addFile(FanSpeed, "pwm-fan", base+"rpm_measured", scaled(1))
	}
}
