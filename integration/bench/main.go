// Command bench measures what authgate costs, compared with other proxies: in one
// run, on one machine, in turn.
//
//	go run -C integration ./bench
//	go run -C integration ./bench -json bench.json -md ../docs/performance.md
//	go run -C integration ./bench -people 10000
//	go run -C integration ./bench -websockets 10000
//	go run -C integration ./bench -profile ../cmd/authgate/default.pgo
//
// Only ratios within one run mean anything. It needs wrk, and nginx for its row.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	rounds      int
	length      time.Duration // of a round
	connections []int
	people      int    // whose cookies come by turns
	cases       bool   // also the table of cases
	oauth2Proxy string // a binary; empty: no row of it
	profile     string // write a profile of authgate here, and measure nothing
	websockets  int    // measure these, not requests
	check       bool   // short rounds; nothing is said of speed
	authgate    string // a binary; empty: it is built
	json, md    string // files
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "be" { // what the bench starts itself as
		if err := runRole(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each; medians are printed")
	flags.DurationVar(&o.length, "for", 3*time.Second, "length of a round, rounded up to seconds")
	flags.DurationVar(&o.length, "duration", 3*time.Second, "the same as -for")
	connections := flags.String("connections", "1,64,512", "numbers of connections")
	flags.IntVar(&o.people, "people", 1, "how many signed-in people ask by turns")
	flags.IntVar(&o.websockets, "websockets", 0, "open so many idle WebSockets and tell what each costs; no requests")
	flags.BoolVar(&o.check, "check", false, "see that everything runs, in short rounds; nothing is said of speed")
	flags.BoolVar(&o.cases, "cases", true, "also measure TLS, HTTP/2, large bodies, tokens, many sessions and the start")
	flags.StringVar(&o.oauth2Proxy, "oauth2-proxy", "", "measure this `binary` of oauth2-proxy as well")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of authgate under load to this `file`, and measure nothing")
	flags.StringVar(&o.authgate, "authgate", "", "measure this `binary` (default: build it)")
	flags.StringVar(&o.json, "json", "", "write the figures to this `file`")
	flags.StringVar(&o.md, "md", "", "put the table into this `file`, between its marks")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for _, word := range strings.Split(*connections, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-connections %s: %q is no number of connections; write 1,64,512", *connections, word)
		}
		o.connections = append(o.connections, n)
	}
	if o.check {
		o.rounds, o.length = 1, time.Second
	}
	if o.rounds < 1 || o.length <= 0 || o.people < 1 || o.websockets < 0 || flags.NArg() > 0 {
		return o, errors.New("-rounds and -people begin at 1, -for is more than 0, and there are no further arguments")
	}
	o.length = (o.length + time.Second - 1).Truncate(time.Second) // as wrk's rounds are
	o.cases = o.cases && o.profile == ""
	return o, nil
}

// run sets the scene, measures and tells.
func run(ctx context.Context, o options, stdout, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "authgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := setScene(ctx, dir, o, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.strike()) }()

	if o.websockets > 0 {
		return s.countSockets(ctx, o.websockets, stdout)
	}
	if err := s.checkAnswers(ctx); err != nil {
		return err
	}
	if o.profile != "" {
		return s.writeProfile(ctx, o)
	}
	figures, err := s.measure(ctx, o, progress)
	if err != nil {
		return err
	}
	r := report{Machine: thisMachine(), Rounds: o.rounds, Seconds: o.length.Seconds(), People: o.people, Rows: summarise(figures)}
	if o.cases {
		if r.Cases, err = s.measureCases(ctx, o, progress); err != nil {
			return err
		}
	}
	if err := r.print(stdout); err != nil {
		return err
	}
	if o.json != "" {
		err = errors.Join(err, r.writeJSON(o.json))
	}
	if o.md != "" {
		err = errors.Join(err, r.writeMarkdown(o.md))
	}
	return err
}
