package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// dashboard shows the user of the identity headers, and has pages that take long.
func dashboard(ctx context.Context, args []string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname() // for people to look at
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"user": r.Header.Get("X-Forwarded-Preferred-Username"), "groups": r.Header.Get("X-Forwarded-Groups"), "pod": host,
		})
	})
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/events", events)
	return serve(ctx, args[0], mux, nil)
}

// slow takes its time, as ?for=10s says, and then answers.
func slow(w http.ResponseWriter, r *http.Request) {
	duration, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(duration):
		_, _ = io.WriteString(w, "done\n")
	case <-r.Context().Done():
	}
}

// events is a stream without end.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := 1; ; i++ {
		_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
