//go:build !unix

package main

import (
	"math"
	"os"
)

func notifyLevel(chan<- os.Signal) {} // there is no such signal

func mostDescriptors() uint64 { return math.MaxUint64 }
