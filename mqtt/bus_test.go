package mqtt_test

import (
	"testing"

	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

func TestMosquitto(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311, wire.VersionAuto} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			mqtttest.Suite(t, version, func(t *testing.T) mqtttest.Broker {
				return mqtttest.Broker{URL: mqtttest.StartMosquitto(t).URL()}
			})
		})
	}
}
