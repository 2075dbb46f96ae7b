package hwtest

import (
	"fmt"
	"strings"
)

// tree collects a board's files.
type tree struct {
	Board
}

func newTree(name string) *tree {
	t := &tree{Board{Name: name, Files: map[string]string{}, Links: map[string]string{}}}
	t.Files["proc/uptime"] = "93784.11 361204.56\n"
	t.Files["proc/self/cgroup"] = "0::/system.slice/linesided.service\n"
	t.Files["run/systemd/timesync/synchronized"] = ""
	for _, what := range []string{"memory", "cpu", "io"} {
		t.Files["proc/pressure/"+what] = pressure(0)
	}
	group := "sys/fs/cgroup/system.slice/linesided.service/"
	t.Files[group+"memory.current"] = "1873805312\n"
	t.Files[group+"memory.high"] = "max\n"
	t.Files[group+"memory.max"] = "max\n"
	t.Files[group+"memory.events"] = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"
	return t
}

func (t *tree) deviceTree(model, serial string, compatible ...string) {
	t.Files["proc/device-tree/model"] = model + "\x00"
	t.Files["proc/device-tree/serial-number"] = serial + "\x00"
	t.Files["proc/device-tree/compatible"] = strings.Join(compatible, "\x00") + "\x00"
}

func (t *tree) memory(totalKB int) { t.Files["proc/meminfo"] = meminfo(totalKB, totalKB*6/10) }

func (t *tree) cpus(n int, kernel string) {
	for i := range n {
		t.Files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/online", i)] = "1\n"
	}
	t.Files["proc/sys/kernel/osrelease"] = kernel + "\n"
}

func (t *tree) policy(n int, curKHz, maxKHz int) {
	base := fmt.Sprintf("sys/devices/system/cpu/cpufreq/policy%d/", n)
	t.Files[base+"scaling_cur_freq"] = fmt.Sprintln(curKHz)
	t.Files[base+"cpuinfo_cur_freq"] = fmt.Sprintln(curKHz)
	t.Files[base+"cpuinfo_max_freq"] = fmt.Sprintln(maxKHz)
	t.Files[base+"scaling_governor"] = "ondemand\n"
}

// trip is a trip point: its kind and its temperature in thousandths of °C.
type trip struct {
	kind  string
	milli int
}

// zone adds a thermal zone behind the class's link and returns its temp file.
func (t *tree) zone(n int, kind string, milli int, trips ...trip) string {
	dir := fmt.Sprintf("sys/devices/virtual/thermal/thermal_zone%d", n)
	t.Files[dir+"/type"] = kind + "\n"
	t.Files[dir+"/temp"] = fmt.Sprintln(milli)
	for i, p := range trips {
		t.Files[fmt.Sprintf("%s/trip_point_%d_type", dir, i)] = p.kind + "\n"
		t.Files[fmt.Sprintf("%s/trip_point_%d_temp", dir, i)] = fmt.Sprintln(p.milli)
	}
	t.Links[fmt.Sprintf("sys/class/thermal/thermal_zone%d", n)] = fmt.Sprintf("../../devices/virtual/thermal/thermal_zone%d", n)
	return dir + "/temp"
}

// hwmon adds a chip with its files and returns its folder.
func (t *tree) hwmon(n int, name string, files map[string]string) string {
	dir := fmt.Sprintf("sys/class/hwmon/hwmon%d/", n)
	t.Files[dir+"name"] = name + "\n"
	for f, content := range files {
		t.Files[dir+f] = content + "\n"
	}
	return dir
}

func (t *tree) led(name, triggers string) {
	dir := "sys/class/leds/" + name + "/"
	t.Files[dir+"brightness"] = "0\n"
	t.Files[dir+"max_brightness"] = "255\n"
	t.Files[dir+"trigger"] = triggers + "\n"
	for _, f := range []string{"delay_on", "delay_off", "pattern", "shot", "invert"} {
		t.Files[dir+f] = ""
	}
}

const piTriggers = "none rc-feedback kbd-scrolllock default-on input timer oneshot heartbeat backlight pattern gpio cpu cpu0 cpu1 cpu2 cpu3 actpwr [mmc0] mmc1"

// raspberryPi adds what each Raspberry Pi has that starts from a card on Raspberry Pi's kernel:
// the firmware's throttle bits at that path, its two lights, and the card.
func (t *tree) raspberryPi(throttled string) {
	t.Throttled = throttled
	t.Files[throttled] = "0\n"
	t.led("ACT", piTriggers)
	t.led("PWR", strings.Replace(piTriggers, "[mmc0]", "mmc0", 1))
	t.Files["sys/block/mmcblk0/device/type"] = "SD\n"
}

// Pi4 is a Raspberry Pi 4 with 4 GB, without a fan, on Raspberry Pi's kernel.
func Pi4() Board {
	t := newTree("pi4")
	t.deviceTree("Raspberry Pi 4 Model B Rev 1.4", "10000000a1b2c3d4", "raspberrypi,4-model-b", "brcm,bcm2711")
	t.memory(3884360)
	t.cpus(4, "6.12.34+rpt-rpi-v8")
	t.policy(0, 1800000, 1800000)
	t.Temp = t.zone(0, "cpu-thermal", 52582, trip{"critical", 110000})
	t.Limit = 80
	t.hwmon(0, "cpu_thermal", map[string]string{"temp1_input": "52582", "temp1_crit": "110000"})
	t.hwmon(1, "rpi_volt", map[string]string{"in0_lcrit_alarm": "0"})
	t.raspberryPi("sys/devices/platform/soc/soc:firmware/get_throttled")
	return t.Board
}

// Pi5 is a Raspberry Pi 5 with 8 GB and the Active Cooler, on Raspberry Pi's kernel.
func Pi5() Board {
	t := newTree("pi5")
	t.deviceTree("Raspberry Pi 5 Model B Rev 1.0", "9c0ffee012345678", "raspberrypi,5-model-b", "brcm,bcm2712")
	t.memory(8245812)
	t.cpus(4, "6.12.34+rpt-rpi-2712")
	t.policy(0, 2400000, 2400000)
	t.Temp = t.zone(0, "cpu-thermal", 48200, trip{"critical", 110000}, trip{"active", 75000}, trip{"active", 67500}, trip{"active", 60000}, trip{"active", 50000})
	t.Limit = 80
	t.hwmon(0, "cpu_thermal", map[string]string{"temp1_input": "48200", "temp1_crit": "110000"})
	t.hwmon(1, "rp1_adc", map[string]string{"in1_input": "1490", "temp1_input": "46310"})
	fan := t.hwmon(2, "pwmfan", map[string]string{"fan1_input": "2987", "pwm1": "75", "pwm1_enable": "1"})
	t.Fan = fan + "fan1_input"
	t.hwmon(3, "rpi_volt", map[string]string{"in0_lcrit_alarm": "0"})
	t.raspberryPi("sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled")
	t.Files["sys/block/nvme0n1/device/model"] = "SSD\n"
	t.hwmon(4, "nvme", map[string]string{"temp1_input": "39850", "temp1_label": "Composite", "temp1_max": "81850", "temp1_crit": "84850"})
	return t.Board
}

// Pi3 is a Raspberry Pi 3 B+ with 1 GB, on Raspberry Pi's kernel: its soft limit is 60 °C.
func Pi3() Board {
	t := newTree("pi3")
	t.deviceTree("Raspberry Pi 3 Model B Plus Rev 1.3", "00000000a1b2c3d4", "raspberrypi,3-model-b-plus", "brcm,bcm2837")
	t.memory(930956)
	t.cpus(4, "6.12.34+rpt-rpi-v8")
	t.policy(0, 1400000, 1400000)
	t.Temp = t.zone(0, "cpu-thermal", 49388, trip{"critical", 110000})
	t.Limit = 60
	t.hwmon(0, "cpu_thermal", map[string]string{"temp1_input": "49388", "temp1_crit": "110000"})
	t.hwmon(1, "rpi_volt", map[string]string{"in0_lcrit_alarm": "0"})
	t.raspberryPi("sys/devices/platform/soc/soc:firmware/get_throttled")
	return t.Board
}

// CM4 is a Raspberry Pi Compute Module 4 with 8 GB and eMMC on a carrier without a fan,
// on Debian's kernel, which has no get_throttled.
func CM4() Board {
	t := newTree("cm4")
	t.deviceTree("Raspberry Pi Compute Module 4 Rev 1.1", "10000000deadbeef", "raspberrypi,4-compute-module", "brcm,bcm2711")
	t.memory(7998456)
	t.cpus(4, "6.1.0-37-arm64")
	t.policy(0, 1500000, 1500000)
	t.Temp = t.zone(0, "cpu-thermal", 44303, trip{"critical", 90000})
	t.Limit = 80
	t.hwmon(0, "cpu_thermal", map[string]string{"temp1_input": "44303", "temp1_crit": "90000"})
	t.hwmon(1, "rpi_volt", map[string]string{"in0_lcrit_alarm": "0"})
	t.Alarm = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
	t.led("ACT", "none timer oneshot heartbeat cpu default-on [mmc0] pattern")
	t.Files["sys/block/mmcblk0/device/type"] = "MMC\n"
	t.Files["sys/block/mmcblk0/device/life_time"] = "0x03 0x02\n"
	t.Files["sys/block/mmcblk0/device/pre_eol_info"] = "0x01\n"
	return t.Board
}

// JetsonNano is a Jetson Nano 4 GB developer kit on JetPack 4: rails and fan have drivers of
// that release, the kernel has no pressure figures and control groups of version 1.
func JetsonNano() Board {
	t := newTree("jetson-nano")
	t.deviceTree("NVIDIA Jetson Nano Developer Kit", "1424018012345", "nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210")
	t.memory(4059120)
	t.cpus(4, "4.9.337-tegra")
	t.policy(0, 1479000, 1479000)
	for path := range t.Files {
		if strings.HasPrefix(path, "proc/pressure/") || strings.HasPrefix(path, "sys/fs/cgroup/") {
			delete(t.Files, path)
		}
	}
	t.Files["proc/self/cgroup"] = "5:memory:/system.slice/linesided.service\n1:name=systemd:/system.slice/linesided.service\n"
	t.zone(0, "AO-therm", 41500)
	tegra210 := []trip{{"hot", 98500}, {"critical", 102500}}
	t.Temp = t.zone(1, "CPU-therm", 34000, tegra210...)
	t.zone(2, "GPU-therm", 31000, trip{"hot", 100000}, trip{"critical", 103000})
	t.zone(3, "PLL-therm", 31500, trip{"critical", 103000})
	t.zone(4, "PMIC-Die", 100000) // a constant
	t.zone(5, "thermal-fan-est", 33000, trip{"active", 51000}, trip{"active", 61000})
	t.Limit = 98
	const fan = "sys/devices/pwm-fan/"
	t.Files[fan+"cur_pwm"] = "80\n"
	t.Files[fan+"target_pwm"] = "80\n"
	t.Files[fan+"tach_enable"] = "1\n"
	t.Files[fan+"rpm_measured"] = "1915\n"
	t.Fan = fan + "rpm_measured"
	const ina = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/"
	for i, r := range [][3]string{{"POM_5V_IN", "5032", "428"}, {"POM_5V_GPU", "5032", "0"}, {"POM_5V_CPU", "5024", "111"}} {
		t.Files[fmt.Sprintf("%srail_name_%d", ina, i)] = r[0] + "\n"
		t.Files[fmt.Sprintf("%sin_voltage%d_input", ina, i)] = r[1] + "\n"
		t.Files[fmt.Sprintf("%sin_current%d_input", ina, i)] = r[2] + "\n"
	}
	t.gpu("sys/devices/57000000.gpu/", "57000000.gpu", "gpu", 0, 76800000)
	t.Files["var/lib/nvpmodel/status"] = "pmode:0000\n"
	t.Files["etc/nvpmodel.conf"] = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=5W >\n"
	return t.Board
}

// XavierNX is a Jetson Xavier NX 8 GB developer kit on JetPack 5.
func XavierNX() Board {
	t := newTree("xavier-nx")
	t.deviceTree("NVIDIA Jetson Xavier NX Developer Kit", "1422319012345", "nvidia,p3509-0000+p3668-0000", "nvidia,p3668-0000", "nvidia,tegra194")
	t.memory(6856028)
	t.cpus(6, "5.10.216-tegra")
	for _, p := range []int{0, 2, 4} {
		t.policy(p, 1190400, 1907200)
	}
	tegra194 := []trip{{"passive", 90500}, {"critical", 96000}}
	t.Temp = t.zone(0, "CPU-therm", 38500, tegra194...)
	t.zone(1, "GPU-therm", 37500, tegra194...)
	t.zone(2, "AUX-therm", 37000, tegra194...)
	t.zone(3, "AO-therm", 37500)
	t.zone(4, "PMIC-Die", 50000)
	t.Limit = 90
	t.hwmon(0, "pwmfan", map[string]string{"pwm1": "77", "pwm1_enable": "1"}) // without a tachometer
	dir := t.ina3221(1, [3]string{"VDD_IN", "5040", "704"}, [3]string{"VDD_CPU_GPU_CV", "5040", "80"}, [3]string{"VDD_SOC", "5040", "192"})
	t.Alarm = dir + "curr1_crit_alarm"
	t.gpu("sys/devices/17000000.gv11b/", "17000000.gv11b", "gv11b", 0, 114750000)
	t.Files["var/lib/nvpmodel/status"] = "pmode:0008\n"
	t.Files["etc/nvpmodel.conf"] = "< POWER_MODEL ID=0 NAME=MODE_15W_2CORE >\n< POWER_MODEL ID=8 NAME=MODE_20W_6CORE >\n"
	return t.Board
}

// gpu adds a Jetson's GPU, busy in tenths of a percent, behind its class's link.
func (t *tree) gpu(dir, dev, node string, load, hz int) {
	t.Files[dir+"load"] = fmt.Sprintln(load)
	t.Files[dir+"of_node/name"] = node + "\x00"
	t.Files["sys/class/devfreq/"+dev+"/cur_freq"] = fmt.Sprintln(hz)
	t.Links["sys/class/devfreq/"+dev+"/device"] = "../../../" + strings.TrimSuffix(strings.TrimPrefix(dir, "sys/"), "/")
}

// jetson adds what the Orin boards share.
func (t *tree) jetson(gpuLoad int) {
	off := "the zone is switched off" // what a read gives is no number
	orin := []trip{{"passive", 99000}, {"critical", 104500}}
	t.Temp = t.zone(0, "cpu-thermal", 47531, orin...)
	t.zone(1, "gpu-thermal", 46093, orin...)
	for i := range 3 {
		path := t.zone(2+i, fmt.Sprintf("cv%d-thermal", i), 0, orin...)
		t.Files[path] = off
	}
	for i := range 3 {
		t.zone(5+i, fmt.Sprintf("soc%d-thermal", i), 45250+300*i, orin...)
	}
	t.zone(8, "tj-thermal", 47531, trip{"active", 51000}, trip{"active", 63000}, trip{"passive", 99000}, trip{"critical", 104500})
	t.Limit = 99

	t.gpu("sys/devices/platform/bus@0/17000000.gpu/", "17000000.gpu", "ga10b", gpuLoad, 624750000)
	t.Files["sys/class/devfreq/15340000.vic/device/of_node/name"] = "vic\x00"
	t.Files["sys/class/devfreq/15340000.vic/cur_freq"] = "115200000\n"

	oc := map[string]string{}
	for i := 1; i <= 3; i++ {
		oc[fmt.Sprintf("oc%d_event_cnt", i)] = "0"
		oc[fmt.Sprintf("oc%d_throt_en", i)] = "1"
	}
	t.hwmon(0, "soctherm_oc", oc)
	fan := t.hwmon(1, "pwm_tach", map[string]string{"rpm": "2741"})
	t.Fan = fan + "rpm"
	t.hwmon(2, "pwmfan", map[string]string{"pwm1": "102", "pwm1_enable": "1"})
	t.Files["var/lib/nvpmodel/status"] = "pmode:0001\n"
	t.led("status", "none usb-gadget [default-on] timer heartbeat cpu mmc0")
}

func (t *tree) ina3221(n int, rails ...[3]string) string {
	files := map[string]string{"in7_label": "sum of shunt voltages", "in7_input": "11"}
	for i, r := range rails {
		files[fmt.Sprintf("in%d_label", i+1)] = r[0]
		files[fmt.Sprintf("in%d_input", i+1)] = r[1]
		files[fmt.Sprintf("curr%d_input", i+1)] = r[2]
		files[fmt.Sprintf("curr%d_crit_alarm", i+1)] = "0"
		files[fmt.Sprintf("curr%d_max_alarm", i+1)] = "0"
	}
	return t.hwmon(n, "ina3221", files)
}

// OrinNano is a Jetson Orin Nano 8 GB developer kit on JetPack 6.
func OrinNano() Board {
	t := newTree("orin-nano")
	t.deviceTree("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "1421424012345",
		"nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234")
	t.memory(7802076)
	t.cpus(6, "5.15.148-tegra")
	t.policy(0, 1344000, 1728000)
	t.policy(4, 1344000, 1728000)
	t.jetson(213)
	dir := t.ina3221(3, [3]string{"VDD_IN", "5064", "1212"}, [3]string{"VDD_CPU_GPU_CV", "5064", "312"}, [3]string{"VDD_SOC", "5064", "288"})
	t.Alarm = dir + "curr1_crit_alarm"
	t.Files["etc/nvpmodel.conf"] = "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=25W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
	t.hwmon(4, "nvme", map[string]string{"temp1_input": "38850", "temp1_label": "Composite", "temp1_max": "82850", "temp1_crit": "84850"})
	return t.Board
}

// AGXOrin is a Jetson AGX Orin 64 GB developer kit on JetPack 6, with eMMC.
func AGXOrin() Board {
	t := newTree("agx-orin")
	t.deviceTree("NVIDIA Jetson AGX Orin Developer Kit", "1420921012345", "nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234")
	t.memory(64349880)
	t.cpus(12, "5.15.148-tegra")
	for _, p := range []int{0, 4, 8} {
		t.policy(p, 729600, 2201600)
	}
	t.jetson(0)
	dir := t.ina3221(3, [3]string{"VDD_GPU_SOC", "19864", "240"}, [3]string{"VDD_CPU_CV", "19864", "80"}, [3]string{"VIN_SYS_5V0", "5040", "1016"})
	t.ina3221(4, [3]string{"NC", "19840", "0"}, [3]string{"VDDQ_VDD2_1V8AO", "5032", "304"}, [3]string{"NC", "0", "0"})
	t.Alarm = dir + "curr1_crit_alarm"
	t.Files["etc/nvpmodel.conf"] = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=MODE_15W >\n"
	t.Files["sys/block/mmcblk0/device/life_time"] = "0x01 0x02\n"
	t.Files["sys/block/mmcblk0/device/pre_eol_info"] = "0x01\n"
	return t.Board
}

// Generic is an ARM board of another maker: several zones, big and little cores,
// an LED without the pattern trigger, no fan, no throttle word.
func Generic() Board {
	t := newTree("generic")
	t.deviceTree("Acme Edge Board", "0000000000000001", "acme,edge-board", "rockchip,rk3588")
	t.memory(16222456)
	t.cpus(8, "6.1.75")
	t.policy(0, 1416000, 1800000)
	t.policy(4, 1608000, 2256000)
	limits := []trip{{"passive", 75000}, {"passive", 85000}, {"critical", 115000}}
	t.Temp = t.zone(0, "soc-thermal", 41615, limits...)
	t.zone(1, "bigcore0-thermal", 41615)
	t.zone(2, "littlecore-thermal", 42538)
	t.zone(3, "gpu-thermal", 40692)
	t.Limit = 75
	t.led("user-led1", "none [timer] oneshot heartbeat")
	t.Files["sys/block/mmcblk0/device/life_time"] = "0x0b 0x01\n"
	t.Files["sys/block/mmcblk0/device/pre_eol_info"] = "0x02\n"
	delete(t.Files, "run/systemd/timesync/synchronized")
	return t.Board
}

// PC is an x86 machine: DMI instead of a device tree, unset trip points, package
// sensors by hwmon.
func PC() Board {
	t := newTree("pc")
	t.Files["sys/class/dmi/id/sys_vendor"] = "Acme\n"
	t.Files["sys/class/dmi/id/product_name"] = "Box 9000\n"
	t.Files["proc/cpuinfo"] = "processor\t: 0\nmodel name\t: Acme CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Acme CPU @ 2.00GHz\n"
	t.memory(16301234)
	t.cpus(2, "6.12.9-amd64")
	t.policy(0, 1999998, 4200000)
	t.zone(0, "acpitz", 27800, trip{"critical", 119000})
	t.Temp = t.zone(1, "x86_pkg_temp", 45000, trip{"passive", 0}, trip{"passive", -274000})
	t.Limit = 85
	t.hwmon(0, "acpitz", map[string]string{"temp1_input": "27800"})
	t.hwmon(1, "coretemp", map[string]string{
		"temp1_input": "45000", "temp1_label": "Package id 0", "temp1_max": "100000", "temp1_crit": "105000",
		"temp2_input": "44000", "temp2_label": "Core 0", "temp2_max": "100000", "temp2_crit": "105000",
	})
	t.hwmon(2, "nct6798", map[string]string{"fan1_input": "0", "fan2_input": "1180", "pwm2": "128", "temp1_input": "31000", "temp1_label": "SYSTIN"})
	t.Fan = "sys/class/hwmon/hwmon2/fan2_input"
	return t.Board
}
