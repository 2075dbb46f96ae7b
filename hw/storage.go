package hw

import "strings"

// findStorage adds free space and the wear that eMMC devices report. SD cards
// have no standard for it.
func (b *Board) findStorage() {
	for _, mount := range b.options.Disks {
		b.add(source{slow: true, call: func(out []float64) (err error) {
			if !b.tree.whole {
				return errCaptured
			}
			out[0], out[1], err = diskSpace(mount)
			return err
		}}, reading(Disk, mount+" free", "statfs "+mount), reading(Disk, mount+" size", "statfs "+mount))
	}
	for _, dev := range b.tree.list("sys/block") {
		base := "sys/block/" + dev + "/device/"
		if !strings.HasPrefix(dev, "mmcblk") || !b.tree.has(base+"life_time") {
			continue
		}
		b.add(source{path: cpath(base + "life_time"), many: parseLifeTime, slow: true},
			reading(Wear, dev+"-a", base+"life_time"), reading(Wear, dev+"-b", base+"life_time"))
		b.add(source{path: cpath(base + "pre_eol_info"), slow: true, one: func(data []byte) (float64, error) {
			// 1: under 80 % of the reserved blocks are used, 2: under 90 %, 3: beyond.
			v, err := parseHex(data)
			if err == nil && (v < 1 || v > 3) {
				err = errRange
			}
			return float64(70 + 10*v), err
		}}, reading(Wear, dev+"-reserve", base+"pre_eol_info"))
	}
}
