package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is a run, as the JSON file keeps it.
type report struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"` // of each
	People  int     `json:"people"`
	Rows    []row   `json:"rows"`

	Cases []caseRow `json:"cases,omitempty"`
}

// row is one contender at one number of connections: medians of its rounds.
// Ratios are medians of what it was to the other in the same round.
type row struct {
	Connections int     `json:"connections"`
	Name        string  `json:"name"`
	PerSecond   float64 `json:"requestsPerSecond"`
	CPU         float64 `json:"cpuMicrosPerRequest"`
	P50         float64 `json:"p50Micros"`
	P99         float64 `json:"p99Micros"`
	ResidentKiB int     `json:"residentKiB"` // the most of all rounds
	ToBare      float64 `json:"toBare"`
	ToTuned     float64 `json:"toTuned"`
	P99ToTuned  float64 `json:"p99ToTuned"`
}

func summarise(samples []sample) []row {
	type key struct {
		connections int
		contender   string
	}
	rounds := map[key][]sample{}
	var order []key
	for _, s := range samples {
		k := key{s.connections, s.contender}
		if rounds[k] == nil {
			order = append(order, k)
		}
		rounds[k] = append(rounds[k], s)
	}
	var rows []row
	for _, k := range order {
		mine := rounds[k]
		over := func(of string, value func(sample) float64) float64 {
			other := rounds[key{k.connections, of}]
			return median(len(mine), func(i int) float64 { return value(mine[i]) / value(other[i]) })
		}
		speed := func(s sample) float64 { return s.perSecond }
		slow := func(s sample) float64 { return s.p99 }
		r := row{
			Connections: k.connections, Name: k.contender,
			PerSecond: median(len(mine), func(i int) float64 { return mine[i].perSecond }),
			CPU:       median(len(mine), func(i int) float64 { return mine[i].cpu }),
			P50:       median(len(mine), func(i int) float64 { return mine[i].p50 }),
			P99:       median(len(mine), func(i int) float64 { return mine[i].p99 }),
			ToBare:    over("bare", speed), ToTuned: over("tuned", speed), P99ToTuned: over("tuned", slow),
		}
		for _, s := range mine {
			r.ResidentKiB = max(r.ResidentKiB, s.rss)
		}
		rows = append(rows, r)
	}
	return rows
}

func median(n int, value func(int) float64) float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = value(i)
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

var titles = map[string]string{
	"bare": "bare `httputil.ReverseProxy`", "tuned": "tuned `httputil.ReverseProxy`", "authgate": "**authgate**, audit off",
	"authgate-audit": "**authgate**, audit to a file", "nginx": "nginx, one worker, no authentication",
	"authgate-tls": "**authgate**", "nginx-authgate": "nginx `auth_request` to **authgate**", "oauth2-proxy": "oauth2-proxy",
	"nginx-oauth2-proxy": "nginx `auth_request` to oauth2-proxy",
}

func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "connections\t\treq/s\tto bare\tto tuned\tCPU µs\tp50 ms\tp99 ms\tp99 to tuned\tRSS MiB\t")
	last := 0
	for _, row := range r.Rows {
		connections := ""
		if row.Connections != last {
			connections = fmt.Sprint(row.Connections)
		}
		last = row.Connections
		_, _ = fmt.Fprintf(table, "%s\t%s\t%.0f\t%.2f\t%.2f\t%.1f\t%.2f\t%.2f\t%.2f\t%.1f\t\n", connections, row.Name, row.PerSecond,
			row.ToBare, row.ToTuned, row.CPU, row.P50/1000, row.P99/1000, row.P99ToTuned, float64(row.ResidentKiB)/1024)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	r.printCases(table, false)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nmedians of %d rounds of %g s, by turns; %d cores (%s), %s\n", r.Rounds, r.Seconds, r.Machine.Cores, r.Machine.CPU, r.Machine.Go)
	return err
}

func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// Marks between which the table stands in a document.
const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

func (r *report) writeMarkdown(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(beginMark))
	_, after, closed := bytes.Cut(rest, []byte(endMark))
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table; write the lines %s and %s into it", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(beginMark)
	fmt.Fprintf(&out, "%d cores (%s), %s; medians of %d rounds of %g s, by turns.\n\n", r.Machine.Cores, r.Machine.CPU, r.Machine.Go, r.Rounds, r.Seconds)
	fmt.Fprintln(&out, "| connections | | requests/s | to bare | to tuned | CPU µs | p50 ms | p99 ms | p99 to tuned | RSS MiB |")
	fmt.Fprintln(&out, "|---|---|---|---|---|---|---|---|---|---|")
	for _, row := range r.Rows {
		fmt.Fprintf(&out, "| %d | %s | %.0f | %.2f | %.2f | %.1f | %.2f | %.2f | %.2f | %.1f |\n", row.Connections, titles[row.Name],
			row.PerSecond, row.ToBare, row.ToTuned, row.CPU, row.P50/1000, row.P99/1000, row.P99ToTuned, float64(row.ResidentKiB)/1024)
	}
	r.printCases(&out, true)
	out.WriteString(endMark)
	out.Write(after)
	return os.WriteFile(file, out.Bytes(), 0o644)
}
