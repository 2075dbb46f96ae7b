//go:build tools

// Package tools holds the pins of modules while the packages that use them grow.
package tools

import (
	_ "aead.dev/minisign"
	_ "charm.land/bubbletea/v2"
	_ "github.com/coreos/go-systemd/v22/daemon"
	_ "github.com/eclipse/paho.golang/autopaho"
	_ "github.com/eclipse/paho.mqtt.golang"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/mochi-mqtt/server/v2"
	_ "github.com/ollama/ollama/llama"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/schollz/progressbar/v3"
	_ "github.com/spf13/cobra"
	_ "go.etcd.io/bbolt"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "periph.io/x/conn/v3/gpio"
	_ "periph.io/x/host/v3"
)
