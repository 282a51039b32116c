package dashboards

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// runtime is how long a submitted workflow takes to succeed.
const runtime = 4 * time.Second

// workflow is as much of Argo Workflows' object as its own list page needs.
type workflow struct {
	Metadata struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		UID       string            `json:"uid"`
		Labels    map[string]string `json:"labels,omitempty"`
	} `json:"metadata"`
	Status struct {
		Phase    string    `json:"phase"`
		Progress string    `json:"progress"`
		Started  time.Time `json:"startedAt"`
	} `json:"status"`
}

type workflows struct {
	links Links
	check Credential
	feed  *feed
	mu    sync.Mutex
	list  []*workflow
}

// Workflows is the dashboard of Argo Workflows. A nil check lets everybody do
// everything.
func Workflows(links Links, check Credential) http.Handler {
	d := &workflows{links: links, check: check, feed: newFeed()}
	d.add("build-image-x7k2p", "argo", "Succeeded", "")
	d.add("nightly-report-q4m9d", "argo", "Failed", "")
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", static())
	mux.HandleFunc("GET /{$}", d.page)
	mux.HandleFunc("GET /workflows", d.page)
	mux.HandleFunc("GET /workflows/{ns}", d.page)
	mux.HandleFunc("GET /api/v1/info", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"managedNamespace": "argo", "links": []any{}})
	})
	mux.HandleFunc("GET /api/v1/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": "v4.0.0+sample"})
	})
	mux.HandleFunc("GET /api/v1/userinfo", d.userinfo)
	// The trailing slash is data: it asks for all namespaces, and without it
	// the real server has no such call. (ServeMux would redirect.)
	mux.HandleFunc("GET /api/v1/workflows", notImplemented)
	mux.HandleFunc("GET /api/v1/workflow-events", notImplemented)
	mux.HandleFunc("GET /api/v1/workflows/{$}", d.all)
	mux.HandleFunc("GET /api/v1/workflows/{ns}", d.all)
	mux.HandleFunc("POST /api/v1/workflows/{ns}/submit", d.submit)
	mux.HandleFunc("GET /api/v1/workflow-events/{$}", d.events)
	mux.HandleFunc("GET /api/v1/workflow-events/{ns}", d.events)
	return guarded(check, mux, "/api/v1/")
}

func notImplemented(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusNotImplemented, 12, "Method Not Allowed")
}

func (d *workflows) add(name, namespace, phase, creator string) *workflow {
	var wf workflow
	wf.Metadata.Name, wf.Metadata.Namespace = name, namespace
	wf.Metadata.UID = fmt.Sprintf("00000000-0000-4000-8000-%012d", len(d.list)+1)
	if creator != "" {
		wf.Metadata.Labels = map[string]string{"workflows.argoproj.io/creator": creator}
	}
	wf.Status.Phase, wf.Status.Progress, wf.Status.Started = phase, "1/1", time.Now().UTC().Truncate(time.Second)
	d.list = append(d.list, &wf)
	return &wf
}

func (d *workflows) page(w http.ResponseWriter, r *http.Request) {
	renderPage(w, "workflows.html", map[string]any{"Told": whoWasTold(r), "As": d.check.as(r), "Links": d.links})
}

func (d *workflows) userinfo(w http.ResponseWriter, r *http.Request) {
	t := whoWasTold(r)
	writeJSON(w, http.StatusOK, map[string]any{"subject": t.User, "email": t.Email, "groups": t.Groups})
}

func (d *workflows) all(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := []*workflow{}
	for _, wf := range d.list {
		if ns := r.PathValue("ns"); ns == "" || ns == wf.Metadata.Namespace {
			items = append(items, wf)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"metadata": map[string]any{}, "items": items})
}

func (d *workflows) submit(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		ResourceKind string `json:"resourceKind"`
		ResourceName string `json:"resourceName"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, 3, "the body is not the JSON of a submit request")
		return
	}
	if asked.ResourceName == "" {
		refuse(w, http.StatusBadRequest, 3, "resourceName is missing")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := fmt.Sprintf("%s-%05d", asked.ResourceName, len(d.list)+1)
	wf := d.add(name, r.PathValue("ns"), "Running", whoWasTold(r).Name())
	wf.Status.Progress = "0/1"
	d.feed.publish("ADDED", "object", wf)
	writeJSON(w, http.StatusOK, wf)
	time.AfterFunc(runtime, func() { d.succeed(wf) })
}

func (d *workflows) succeed(wf *workflow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wf.Status.Phase, wf.Status.Progress = "Succeeded", "1/1"
	d.feed.publish("MODIFIED", "object", wf)
}

func (d *workflows) events(w http.ResponseWriter, r *http.Request) {
	d.feed.serve(w, r, func() [][]byte {
		d.mu.Lock()
		defer d.mu.Unlock()
		var now [][]byte
		for _, wf := range d.list {
			now = append(now, wrap("ADDED", "object", wf))
		}
		return now
	})
}
