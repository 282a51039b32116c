package dashboards

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// runFor is how long a submitted workflow takes to succeed.
const runFor = 4 * time.Second

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

// Workflows is the dashboard of Argo Workflows. A nil check lets every user do
// everything.
func Workflows(links Links, check Credential) Dashboard {
	d := &workflows{links: links, check: check, feed: newFeed()}
	d.add("build-image-x7k2p", "argo", "Succeeded", "")
	d.add("nightly-report-q4m9d", "argo", "Failed", "")
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", static())
	mux.HandleFunc("GET /{$}", d.page)
	mux.HandleFunc("GET /workflows", d.page)
	mux.HandleFunc("GET /workflows/{ns}", d.page)
	mux.Handle("/api/", guarded(check, d.calls(), "/api/v1/"))
	return Dashboard{HTTP: mux}
}

// calls are some of pkg/apiclient/workflow/workflow.proto, and of its neighbours. A
// trailing slash is data: it asks for all namespaces.
func (d *workflows) calls() http.Handler {
	g := newGateway()
	g.handle("GET", "/api/v1/info", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		writeJSON(w, http.StatusOK, map[string]any{"managedNamespace": "argo", "links": []any{}})
	})
	g.handle("GET", "/api/v1/version", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		writeJSON(w, http.StatusOK, map[string]string{"version": "v4.0.0+sample"})
	})
	g.handle("GET", "/api/v1/userinfo", d.userinfo)
	g.handle("GET", "/api/v1/workflows/{namespace}", d.all)
	g.handle("GET", "/api/v1/workflows/{namespace}/{name}", d.get)
	g.handle("DELETE", "/api/v1/workflows/{namespace}/{name}", d.remove)
	g.handle("POST", "/api/v1/workflows/{namespace}/submit", d.submit)
	g.handle("GET", "/api/v1/workflow-events/{namespace}", d.events)
	return g.mux
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
	renderPage(w, "workflows.html", map[string]any{"Identity": readIdentityHeaders(r), "As": d.check.as(r), "Links": d.links})
}

func (d *workflows) userinfo(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	t := readIdentityHeaders(r)
	writeJSON(w, http.StatusOK, map[string]any{"subject": t.User, "email": t.Email, "groups": t.Groups})
}

func (d *workflows) all(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := []*workflow{}
	for _, wf := range d.list {
		if ns := parameters["namespace"]; ns == "" || ns == wf.Metadata.Namespace {
			items = append(items, wf)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"metadata": map[string]any{}, "items": items})
}

func (d *workflows) get(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, wf := range d.list {
		if wf.Metadata.Namespace == parameters["namespace"] && wf.Metadata.Name == parameters["name"] {
			writeJSON(w, http.StatusOK, wf)
			return
		}
	}
	refuse(w, http.StatusNotFound, 5, "workflow not found")
}

func (d *workflows) remove(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = slices.DeleteFunc(d.list, func(wf *workflow) bool {
		return wf.Metadata.Namespace == parameters["namespace"] && wf.Metadata.Name == parameters["name"]
	})
	writeJSON(w, http.StatusOK, map[string]any{})
}

func (d *workflows) submit(w http.ResponseWriter, r *http.Request, parameters map[string]string) {
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
	wf := d.add(name, parameters["namespace"], "Running", readIdentityHeaders(r).Name())
	wf.Status.Progress = "0/1"
	d.feed.publish("ADDED", "object", wf)
	writeJSON(w, http.StatusOK, wf)
	time.AfterFunc(runFor, func() { d.succeed(wf) })
}

func (d *workflows) succeed(wf *workflow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wf.Status.Phase, wf.Status.Progress = "Succeeded", "1/1"
	d.feed.publish("MODIFIED", "object", wf)
}

func (d *workflows) events(w http.ResponseWriter, r *http.Request, _ map[string]string) {
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
