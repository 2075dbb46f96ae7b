package systemd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oldest is the systemd that the base units must do with: Ubuntu 22.04's, which JetPack 6 is.
const oldest = 249

// since is the version of systemd that each key came with, compared with the NEWS of systemd 252 and,
// where that is silent, the manual's "added in version"; 0 is before 230. A key that is not here has to be
// looked up, and so has a value: ProcSubset=pid is in the table and stops a unit of 249 (see walls.newer).
var since = map[string]int{
	"Description": 0, "Documentation": 0, "Requires": 0, "Wants": 0, "After": 0, "Before": 0, "OnFailure": 0, "StartLimitIntervalSec": 230, // by this name; with the old one it was in [Unit] from 229 on
	"StartLimitBurst": 229, "ConditionPathExists": 0,
	"Type": 0, "NotifyAccess": 0, "ExecStart": 0, "ExecStopPost": 0, "ExecCondition": 243, "ExecReload": 0, "Restart": 0, "RestartSec": 0,
	"TimeoutStartSec": 0, "TimeoutStopSec": 0, "WatchdogSec": 0, "Environment": 0, "EnvironmentFile": 0, "User": 0, "Group": 0,
	"SupplementaryGroups": 0, "RuntimeDirectory": 0, "RuntimeDirectoryPreserve": 235, "StateDirectory": 235, "StateDirectoryMode": 235,
	"ConfigurationDirectory": 235, "UMask": 0, "LoadCredential": 247,
	"OOMScoreAdjust": 0, "OOMPolicy": 243, "MemoryHigh": 231, "MemoryMax": 231, "MemorySwapMax": 232, "LimitMEMLOCK": 0, "LimitCORE": 0, "LimitNOFILE": 0,
	"TasksMax": 227, "CPUWeight": 232, "StartupCPUWeight": 232, "IOWeight": 230,
	"PrivateNetwork": 0, "PrivateIPC": 248, "IPAddressDeny": 235, "IPAddressAllow": 235, "RestrictAddressFamilies": 0, "SocketBindDeny": 249,
	"SocketBindAllow": 249, "TemporaryFileSystem": 238, "BindPaths": 233, "BindReadOnlyPaths": 233, "NoExecPaths": 248, "ExecPaths": 248,
	"InaccessiblePaths": 231, "ReadWritePaths": 231, "ReadOnlyPaths": 231, "CapabilityBoundingSet": 0, "AmbientCapabilities": 229,
	"NoNewPrivileges": 0, "ProtectSystem": 0, "ProtectHome": 0, "PrivateTmp": 0, "PrivateDevices": 0, "PrivateUsers": 232, "PrivateMounts": 239,
	"DevicePolicy": 0, "DeviceAllow": 0, "ProtectClock": 245, "ProtectHostname": 242, "ProtectKernelLogs": 244, "ProtectKernelModules": 232,
	"ProtectKernelTunables": 232, "ProtectControlGroups": 232, "ProtectProc": 247, "ProcSubset": 247, "LockPersonality": 235,
	"MemoryDenyWriteExecute": 231, "RestrictNamespaces": 233, "RestrictRealtime": 231, "RestrictSUIDSGID": 242, "RemoveIPC": 232, "KeyringMode": 235,
	"SystemCallArchitectures": 0, "SystemCallFilter": 0, "SystemCallErrorNumber": 0,
	"ListenStream": 0, "SocketUser": 0, "SocketGroup": 0, "SocketMode": 0, "DirectoryMode": 0, "TriggerLimitIntervalSec": 230,
	"OnActiveSec": 0, "OnUnitInactiveSec": 0, "AccuracySec": 0, "PathChanged": 0, "Unit": 0, "WantedBy": 0, "RequiredBy": 0, "Also": 0, "RemainAfterExit": 0,
}

// TestKeys keeps the units, and what `lineside units apply` writes, readable for the oldest systemd:
// it takes a key that it does not know for a mistake and goes on without it, which is a wall less.
func TestKeys(t *testing.T) {
	files, err := filepath.Glob("units/*.*")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := filepath.Glob("walls/testdata/*.golden")
	if err != nil || len(files) == 0 || len(golden) == 0 {
		t.Fatal("no units", err)
	}
	golden = slices.DeleteFunc(golden, func(p string) bool { return filepath.Base(p) == "newest.golden" })
	for _, path := range append(files, append(golden, "conf/jetson-gpu.conf")...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Ext(path) != ".golden" // a golden file has others in between
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if at, ok := strings.CutPrefix(line, "==> "); ok {
				unit = strings.Contains(at, "/systemd/system/")
			}
			key, _, ok := strings.Cut(line, "=")
			if !unit || !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "=") {
				continue
			}
			version, known := since[key]
			switch {
			case !known:
				t.Errorf("%s: %s: since which systemd? add it to the table", path, key)
			case version > oldest:
				t.Errorf("%s: %s came with systemd %d: it belongs into a drop-in for newer ones", path, key, version)
			}
		}
	}
}
