package hwtest

import "strings"

// Hostile is a board whose every file is wrong in a way of its own: empty, garbage, beyond
// what is possible, in the wrong place. It has no knobs for scripts and is none of Boards. Two good
// readings stand between: a zone at -12.5 °C and a fan.
func Hostile() Board {
	b := Board{Name: "hostile", Files: map[string]string{
		"proc/device-tree/model":                                      "Evil\x1b[31m Board\x00\x00",
		"proc/device-tree/compatible":                                 "\x00\x00evil,\xff\xfe\x00raspberrypi,5-model-b\x00brcm,bcm2712",
		"proc/device-tree/serial-number":                              "",
		"proc/meminfo":                                                "MemTotal: -1 kB\nMemAvailable: lots\nSwapTotal:\n: 5 kB\nMemTotal",
		"proc/uptime":                                                 "yesterday",
		"proc/pressure/memory":                                        "full avg10=12",
		"proc/pressure/cpu":                                           "some avg10=999.00 avg60=0",
		"proc/pressure/io":                                            strings.Repeat("some ", 4000),
		"proc/self/cgroup":                                            "0::/../../../etc\n",
		"proc/sys/kernel/osrelease":                                   "\n\n\n",
		"sys/devices/system/cpu/cpufreq/policy0/x":                    "",
		"sys/devices/system/cpu/cpufreq/policyx/y":                    "1",
		"sys/devices/system/cpu/cpu0/online":                          "1\n",
		"sys/devices/system/cpu/cpuidle/x":                            "",
		"sys/class/thermal/thermal_zone0/type":                        "cpu-thermal",
		"sys/class/thermal/thermal_zone0/temp":                        "-12500",
		"sys/class/thermal/thermal_zone1/type":                        "gpu-thermal\n",
		"sys/class/thermal/thermal_zone1/temp":                        "",
		"sys/class/thermal/thermal_zone2/temp":                        "999999999999999999999999",
		"sys/class/thermal/thermal_zone3/type":                        "soc\x00thermal",
		"sys/class/thermal/thermal_zone3/temp/sub":                    "a folder",
		"sys/class/thermal/thermal_zone4/type":                        "cpu-thermal", // the same name again
		"sys/class/thermal/thermal_zone4/temp":                        "4\x002000",
		"sys/class/thermal/thermal_zone5/type":                        "fan-thermal",
		"sys/class/thermal/thermal_zone5/temp":                        "41000\n\n\x00",
		"sys/class/thermal/thermal_zone5/trip_point_0_type":           "passive", // a fan's, below 55 °C
		"sys/class/thermal/thermal_zone5/trip_point_0_temp":           "30000",
		"sys/class/thermal/thermal_zone5/trip_point_1_type":           "passive",
		"sys/class/thermal/thermal_zone5/trip_point_1_temp":           "hot",
		"sys/class/thermal/thermal_zone5/trip_point_2_type":           "critical",
		"sys/class/thermal/thermal_zone5/trip_point_2_temp":           "-274000",
		"sys/class/hwmon/hwmon0/name":                                 "rpi_volt",
		"sys/class/hwmon/hwmon0/in0_lcrit_alarm":                      "yes",
		"sys/class/hwmon/hwmon1/name":                                 "pwmfan\n",
		"sys/class/hwmon/hwmon1/fan1_input":                           "1200",
		"sys/class/hwmon/hwmon1/fan1x_input":                          "7",
		"sys/class/hwmon/hwmon1/pwm1":                                 "-3",
		"sys/class/hwmon/hwmon2/name":                                 "ina3221",
		"sys/class/hwmon/hwmon2/in1_label":                            "VDD_IN",
		"sys/class/hwmon/hwmon2/in1_input":                            "5000",
		"sys/class/hwmon/hwmon2/in2_label":                            "",
		"sys/class/hwmon/hwmon3/temp1_input":                          "1000", // a chip without a name
		"sys/block/mmcblk0/device/life_time":                          "0x00 0xff",
		"sys/block/mmcblk0/device/pre_eol_info":                       "0x07",
		"sys/block/mmcblk1/device/life_time":                          "worn out",
		"sys/bus/i2c/drivers/ina3221x/bind":                           "",
		"sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN\n",
		"sys/devices/pwm-fan/cur_pwm":                                 "\xff",
		"sys/devices/pwm-fan/tach_enable":                             "1\n",
	}, Links: map[string]string{
		"sys/class/thermal/thermal_zone6": "thermal_zone6",            // a link to itself
		"sys/class/thermal/thermal_zone7": "../../../../../../../../", // out of the tree
		"sys/class/hwmon/hwmon4":          "/nowhere",
		"sys/class/leds/ACT":              "../../../proc",
	}}
	return b
}
