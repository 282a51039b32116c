package dashboards

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// keepalive is how often the real servers send a comment on a quiet stream.
const keepalive = 15 * time.Second

// feed hands every event to every listener at that time.
type feed struct {
	mu        sync.Mutex
	listeners map[chan []byte]struct{}
}

func newFeed() *feed { return &feed{listeners: map[chan []byte]struct{}{}} }

// publish wraps an object as grpc-gateway wraps the items of a stream. Who is
// too slow to listen misses events rather than holding up the others.
func (f *feed) publish(kind, field string, object any) {
	event := wrap(kind, field, object)
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		select {
		case l <- event:
		default:
		}
	}
}

func wrap(kind, field string, object any) []byte {
	event, err := json.Marshal(map[string]any{"result": map[string]any{"type": kind, field: object}})
	if err != nil {
		return []byte(`{"error":"event does not marshal"}`) // plain structs always do
	}
	return event
}

func (f *feed) join() chan []byte {
	l := make(chan []byte, 16)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners[l] = struct{}{}
	return l
}

func (f *feed) leave(l chan []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
}

// serve streams: first what is there, then what happens. Without exactly this
// Accept the real servers send newline-delimited JSON, and so does this one.
// first is asked after joining, so that nothing falls between the two.
func (f *feed) serve(w http.ResponseWriter, r *http.Request, first func() [][]byte) {
	events := f.join()
	defer f.leave(events)

	before, after := "", "\n"
	w.Header().Set("Content-Type", "application/json")
	sse := r.Header.Get("Accept") == "text/event-stream"
	if sse {
		before, after = "data: ", "\n\n"
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	send := func(text string) bool {
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return http.NewResponseController(w).Flush() == nil
	}
	for _, event := range first() {
		if !send(before + string(event) + after) {
			return
		}
	}
	f.follow(r.Context(), events, func(event []byte) bool {
		if event == nil {
			return !sse || send(":\n")
		}
		return send(before + string(event) + after)
	})
}

// follow calls send for each event, and with nil when it was quiet for long.
func (f *feed) follow(ctx context.Context, events <-chan []byte, send func([]byte) bool) {
	quiet := time.NewTicker(keepalive)
	defer quiet.Stop()
	for {
		var event []byte
		select {
		case event = <-events:
		case <-quiet.C:
		case <-ctx.Done():
			return
		}
		if !send(event) {
			return
		}
	}
}
