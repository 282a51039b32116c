// Package audit writes down what authgate decided: one JSON object a line, the
// same keys on every line, nothing secret in any of them. Reading a log back
// decodes into the same [Record].
package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Record is one event. Its keys are a public contract.
type Record struct {
	Time       time.Time `json:"time"` // UTC, when the request arrived
	Event      Event     `json:"event"`
	ID         string    `json:"id"`     // also on every page that authgate shows
	Remote     string    `json:"remote"` // client address, behind trusted proxies
	Host       string    `json:"host"`
	Method     string    `json:"method"`
	Path       string    `json:"path"` // canonical, never with a query
	Upstream   string    `json:"upstream"`
	Subject    string    `json:"sub"`
	Email      string    `json:"email"`
	Roles      []string  `json:"roles"`
	Groups     []string  `json:"groups"` // and user:EMAIL, ORG:*, system:NAME: as what else the policy knows them
	Decision   Decision  `json:"decision"`
	Reason     string    `json:"reason"`     // code of a refusal, or why an event failed
	Rule       string    `json:"rule"`       // file:line
	Policy     string    `json:"policy"`     // hash
	Generation uint64    `json:"generation"` // how many policies there were since the start
	Age        float64   `json:"age"`        // seconds that it had been in force
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"` // of the response body
	Millis     float64   `json:"ms"`
	Shadow     string    `json:"shadow"` // what the candidate policy says: allow, deny, or nothing
}

// Event says what a record is about.
type Event string

// The events.
const (
	Request     Event = "request"
	Login       Event = "login"
	LoginFailed Event = "login_failed"
	Logout      Event = "logout"
	Policy      Event = "policy" // a policy was loaded or refused
)

// Decision says what became of a request.
type Decision string

// The decisions. Authgate's own pages are allowed or refused like any other.
const (
	Allow   Decision = "allow"
	Deny    Decision = "deny"
	ToLogin Decision = "login"  // sent to the issuer, or told to sign in
	Refuse  Decision = "refuse" // before any policy was asked
)

// Writer writes records. It is safe for concurrent use; a record is one Write.
type Writer struct {
	mu   sync.Mutex
	out  io.Writer
	log  *slog.Logger
	lame bool // the last write failed; said once, not for each request
	torn bool // a full disk took a part of a line: the next begins with a line end
}

// New writes records to out. A nil out keeps none. Failures to write go to log:
// they must not stop requests, nor go unseen.
func New(out io.Writer, log *slog.Logger) *Writer {
	return &Writer{out: out, log: log}
}

// Write appends one record.
func (w *Writer) Write(r Record) {
	if w.out == nil {
		return
	}
	r.Time = r.Time.UTC()
	if r.Roles == nil {
		r.Roles = []string{}
	}
	if r.Groups == nil {
		r.Groups = []string{}
	}
	line, err := json.Marshal(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		err = w.append(line)
	}
	if err != nil && !w.lame {
		w.log.Error("audit records are being lost", "error", err)
	}
	w.lame = err != nil
}

func (w *Writer) append(line []byte) error {
	line = append(line, '\n')
	if w.torn {
		line = slices.Insert(line, 0, '\n')
	}
	n, err := w.out.Write(line)
	if n > 0 {
		w.torn = line[n-1] != '\n'
	}
	return err
}

// Open opens what audit.output names: stdout, stderr, none or a file, to which
// records are appended. The closer closes only what Open opened.
func Open(output string, stdout, stderr io.Writer) (io.Writer, func() error, error) {
	keep := func() error { return nil }
	switch output {
	case "stdout":
		return stdout, keep, nil
	case "stderr":
		return stderr, keep, nil
	case "none":
		return nil, keep, nil
	}
	file, err := os.OpenFile(output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, nil, fmt.Errorf("audit.output: %w", err)
	}
	return file, file.Close, nil
}
