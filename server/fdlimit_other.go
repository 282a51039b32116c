//go:build !unix

package server

import (
	"math"
	"os"
)

func notifyLogLevel(chan<- os.Signal) {} // there is no such signal

func fdLimit() uint64 { return math.MaxUint64 }
