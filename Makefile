# Lineside: build, demo, test. `make help` lists the targets.
#
# C and C++ get their flags from tools/cgoenv.sh; only lineside-engine needs them.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
GOBUILD := go build -ldflags '$(LDFLAGS)'
# The packaged engine reads other people's models: its addresses are random, and its table of functions read-only.
ENGINEBUILD := go build -trimpath -buildmode=pie -ldflags '$(LDFLAGS) -bindnow'
CGO     := eval "$$(tools/cgoenv.sh native)" &&
FUZZ    ?= 10s
export GOFLAGS ?= -buildvcs=false

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(MAKEFILE_LIST))

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

deps: ## install what is missing (apt, asks for nothing else)
	@tools/deps.sh build test arm64

build: ## bin/linesided, bin/lineside-engine, bin/lineside for this machine
	@tools/deps.sh build
	CGO_ENABLED=0 $(GOBUILD) -o bin/ ./cmd/linesided ./cmd/lineside
	@echo "building lineside-engine: the first time takes two minutes or more"
	@$(CGO) $(GOBUILD) -o bin/ ./cmd/lineside-engine

build-arm64: ## the same under bin/arm64 (engine for any 64-bit Pi, and -dotprod for Pi 5 and Orin)
	@tools/deps.sh build arm64
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GOBUILD) -trimpath -o bin/arm64/ ./cmd/linesided ./cmd/lineside
	@eval "$$(tools/cgoenv.sh pi4)" && $(ENGINEBUILD) -o bin/arm64/lineside-engine ./cmd/lineside-engine
	@eval "$$(tools/cgoenv.sh pi5)" && $(ENGINEBUILD) -o bin/arm64/lineside-engine-dotprod ./cmd/lineside-engine

build-cuda: ## bin/cuda/lineside-engine for an NVIDIA GPU (on the Jetson itself, with JetPack's toolkit)
	@tools/deps.sh build
	@VERSION=$(VERSION) tools/cuda.sh

deb: deb-arm64 deb-amd64 ## dist/*.deb for arm64 and amd64

deb-arm64: build-arm64
	@mkdir -p bin/deb/arm64 && cp bin/arm64/linesided bin/arm64/lineside bin/arm64/lineside-engine bin/arm64/lineside-engine-dotprod bin/deb/arm64/
	@tools/deb/build.sh arm64

deb-amd64:
	@tools/deps.sh build
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GOBUILD) -trimpath -o bin/deb/amd64/ ./cmd/linesided ./cmd/lineside
	@echo "building lineside-engine for x86-64-v3: the first time takes two minutes or more"
	@eval "$$(tools/cgoenv.sh amd64)" && $(ENGINEBUILD) -o bin/deb/amd64/lineside-engine ./cmd/lineside-engine
	@tools/deb/build.sh amd64

deb-jetson: deb-arm64 ## dist/lineside-jetson_*.deb: a folder per version, the way back when an upgrade is not well
	@tools/deb/jetson.sh "$$(ls -t dist/lineside_*_arm64.deb | head -n 1)"

deb-test: deb-amd64 ## the amd64 package's life in a Debian root, twice the same, lintian (root; minutes)
	@tools/deps.sh deb
	CGO_ENABLED=0 LINESIDE_DEB=1 go test -count=1 -v -timeout 30m ./tests/deb

demo: build ## start the appliance with its own broker and model, ask it, show the answers (ONCE=1: then stop)
	@DEMO_PORT=$(DEMO_PORT) tools/demo.sh $(if $(ONCE),--once)

test: deps test-go test-engine test-e2e test-arm64 test-image ## every test

test-go: ## everything that needs no C
	CGO_ENABLED=0 go vet ./...
	CGO_ENABLED=0 go test -p 1 $$(go list ./... | grep -v /tests/faults) # one package at a time: some of them load the machine and watch the clock
	CGO_ENABLED=0 go test -v -parallel 8 ./tests/faults # prints its counts; its tests mostly wait

test-engine: ## the C side, with the CPU's own features
	@echo "testing inference/llama with cgo: the first build takes two minutes or more"
	@$(CGO) go test ./inference/llama/... ./tests ./tests/engine ./tests/agreement

test-e2e: build ## the built programs against a real Mosquitto
	CGO_ENABLED=0 LINESIDE_BIN=$(CURDIR)/bin go test -count=1 ./tests/e2e/...

test-arm64: build-arm64 ## the arm64 engine answers under emulation
	CGO_ENABLED=0 LINESIDE_BIN=$(CURDIR)/bin go test -count=1 -run 'ARM64' ./tests/arm64/...

test-vm: deb-arm64 ## the package, installed on a Debian that boots in QEMU, answers
	@tools/deps.sh test vm
	CGO_ENABLED=0 LINESIDE_VM=1 LINESIDE_DEB="$$(ls -t $(CURDIR)/dist/lineside_*_arm64.deb | head -n 1)" go test -count=1 -v -timeout 30m ./tests/vm

vm-test: deb-arm64 ## the same, and every fault; takes a quarter of an hour or more
	@tools/deps.sh test vm
	CGO_ENABLED=0 LINESIDE_VM=all LINESIDE_DEB="$$(ls -t $(CURDIR)/dist/lineside_*_arm64.deb | head -n 1)" go test -count=1 -v -p 1 -timeout 90m ./tests/vm/...

vm: ## boot a small arm64 Debian in QEMU, with a shell on the console
	@tools/deps.sh vm
	@go run ./tests/vm/run

test-gpio: ## lamps and button against a real kernel in QEMU (under a minute; the first time makes a Debian root)
	@tools/deps.sh vm
	CGO_ENABLED=0 LINESIDE_VM=1 go test -count=1 -v ./tests/gpio

image: deb-arm64 ## dist/image: the card for Raspberry Pi 4 and 5, and the update (KERNEL=debian|rpi, KEYS=folder)
	@tools/deps.sh image
	@[ -n "$(KEYS)" ] || [ -d dist/image-keys ] || image/testkeys.sh dist/image-keys
	@image/build.sh -k $(or $(KERNEL),debian) -s $(or $(KEYS),dist/image-keys) "$$(ls -t dist/lineside_*_arm64.deb | head -n 1)" dist/image

test-image: image ## the card boots in QEMU, answers, takes an update and goes back
	@tools/deps.sh image vm test
	CGO_ENABLED=0 LINESIDE_IMAGE=$(CURDIR)/dist/image go test -count=1 -v -timeout 30m ./tests/image

image-test: image ## boot what make image made: a technician's day, and every fault (half an hour)
	@tools/deps.sh image vm test
	CGO_ENABLED=0 LINESIDE_IMAGE=$(CURDIR)/dist/image LINESIDE_IMAGE_FAULTS=1 go test -count=1 -v -timeout 120m ./tests/image

test-fit: deps ## memory plans against the engine's real use (takes minutes)
	@$(CGO) go test -count=1 -v ./tests/fit

TRAIN := /usr/bin/python3 tools/demomodel/train.py
demo-model: ## train the built-in demo model from nothing (an hour or more)
	@tools/deps.sh train
	go run ./tools/demomodel data -o build/demo/a
	go run ./tools/demomodel data -o build/demo/b -ending 1 -n 480000
	$(TRAIN) build/demo/a build/demo/a/run --workers 2
	$(TRAIN) build/demo/b build/demo/b/run --workers 2 --from build/demo/a/run/6760.pt --rates "0:0 6760:0 6790:0.5 7700:0 7730:0.5 8700:0"
	$(TRAIN) build/demo/a build/demo/run --mean build/demo/a/run/7540.pt build/demo/b/run/8700.pt
	go run ./tools/demomodel export -data build/demo/a -trained build/demo/run -o inference/model/demo/lineside-demo.gguf
	go run ./tools/demomodel golden -model inference/model/demo/lineside-demo.gguf -o inference/model/demo/golden.json

demo-model-eval: build ## score the demo model on held-out asks, through the engine
	go run ./tools/demomodel eval -model inference/model/demo/lineside-demo.gguf -engine bin/lineside-engine

check: test test-gpio test-fit lint race fuzz ## test, and lint, race detector, short fuzz

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	CGO_ENABLED=0 go tool staticcheck ./...

race:
	@$(CGO) go test -race ./...

soak: ## 10,000 random asks each: over the fake runtime under the race detector, and for real (takes most of an hour)
	CGO_ENABLED=1 go test -race -count=1 -run TestSoak ./inference/engine
	@$(CGO) LINESIDE_SOAK_ASKS=10000 go test -race -count=1 -timeout 60m -run TestSoak/fake -v ./tests/engine
	@$(CGO) LINESIDE_SOAK_ASKS=10000 go test -count=1 -timeout 120m -run TestSoak/tiny -v ./tests/engine

fuzz:
	@FUZZ=$(FUZZ) tools/fuzz.sh

faults: deps ## break every part at every stage of an ask, 30 s without network, 16 power cuts; prints the counts (minutes)
	CGO_ENABLED=0 go test -count=1 -v -parallel 8 -timeout 30m -run 'TestFaultMatrix|TestPowerCut' ./tests/faults -outage 30s -cuts 16

load: deps ## canned asks of 8 clients, a minute each, and a flood; one table (MILLION=1: also a million; MQTT=3.1.1)
	CGO_ENABLED=0 go test -count=1 -v -timeout 60m ./tests/canned -for 60s -mqtt $(or $(MQTT),5) $(if $(MILLION),-asks 1000000)

bench: build ## the figures of docs/performance.md, on this machine, also into build/bench.json (about 10 minutes)
	@mkdir -p build
	@bin/lineside bench --ablations -o build/bench.json

clean: ## remove what make built
	rm -rf bin dist build
