package dashboards

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// application is as much of Argo CD's object as its own list page needs.
type application struct {
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		Project string `json:"project"`
		Source  struct {
			RepoURL string `json:"repoURL"`
			Path    string `json:"path"`
		} `json:"source"`
	} `json:"spec"`
	Status struct {
		Sync struct {
			Status   string `json:"status"`
			Revision string `json:"revision"`
		} `json:"sync"`
		Health struct {
			Status string `json:"status"`
		} `json:"health"`
	} `json:"status"`
}

func newApplication(name, project, status string) *application {
	var a application
	a.Metadata.Name, a.Metadata.Namespace = name, "argocd"
	a.Spec.Project = project
	a.Spec.Source.RepoURL, a.Spec.Source.Path = "https://github.com/example-org/deploy", name
	a.Status.Sync.Status, a.Status.Sync.Revision = status, "4a1f09c"
	a.Status.Health.Status = "Healthy"
	return &a
}

type argoCD struct {
	links Links
	check Credential
	feed  *feed
	mu    sync.Mutex
	apps  []*application
	syncs int
}

// ArgoCD is the dashboard on which Dex also lives: below /api/dex/, which is
// where people's browsers meet it. dexURL is Dex's own address, without path. A nil
// check lets everybody do everything.
func ArgoCD(log *slog.Logger, dexURL string, links Links, check Credential) (http.Handler, error) {
	to, err := url.Parse(dexURL)
	if err != nil {
		return nil, fmt.Errorf("parsing Dex's address: %w", err)
	}
	d := &argoCD{links: links, check: check, feed: newFeed(), apps: []*application{
		newApplication("guestbook", "default", "OutOfSync"),
		newApplication("payments", "shop", "Synced"),
		newApplication("web-frontend", "shop", "OutOfSync"),
	}}
	mux := http.NewServeMux()
	mux.Handle("/api/dex/", dexBehind(log, to))
	mux.Handle("GET /assets/", static())
	mux.HandleFunc("GET /{$}", d.page)
	mux.HandleFunc("GET /applications", d.page)
	mux.HandleFunc("GET /applications/{name}", d.page)
	mux.HandleFunc("GET /login", d.loginPage)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"Version": "v3.6.0+sample"})
	})
	mux.HandleFunc("GET /api/v1/session/userinfo", d.userinfo)
	mux.HandleFunc("GET /api/v1/applications", d.list)
	mux.HandleFunc("GET /api/v1/applications/{name}", d.get)
	mux.HandleFunc("POST /api/v1/applications/{name}/sync", d.sync)
	mux.HandleFunc("GET /api/v1/stream/applications", d.stream)
	mux.HandleFunc("GET /terminal", d.terminal)
	return onlyJSONWrites(guarded(check, mux, "/api/v1/", "/terminal")), nil
}

// dexBehind passes requests to Dex. argocd-server turns Dex's 500, which is all
// that Dex says to somebody it does not let in, into a way back to its own
// login page (argo-cd util/dex/dex.go); the sample does as it does.
func dexBehind(log *slog.Logger, to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode == http.StatusInternalServerError {
				_ = res.Body.Close()
				res.Body, res.ContentLength = http.NoBody, 0
				res.StatusCode, res.Status = http.StatusSeeOther, ""
				res.Header = http.Header{"Location": {"/login?has_sso_error=true"}}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			log.Debug("Dex cannot be reached", "error", err)
			http.Error(w, "Dex cannot be reached", http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// onlyJSONWrites is Argo CD's protection from forms of other sites: whatever is
// not a GET must be application/json, DELETE and empty bodies included.
func onlyJSONWrites(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ours := strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/api/dex/")
		if ours && r.Method != http.MethodGet && !strings.EqualFold(r.Header.Get("Content-Type"), "application/json") {
			refuse(w, http.StatusUnsupportedMediaType, 3, "Invalid content type")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (d *argoCD) page(w http.ResponseWriter, r *http.Request) {
	renderPage(w, "argocd.html", map[string]any{"Told": whoWasTold(r), "As": d.check.as(r), "Links": d.links})
}

func (d *argoCD) loginPage(w http.ResponseWriter, r *http.Request) {
	renderPage(w, "login.html", map[string]any{
		"Failed": r.URL.Query().Get("has_sso_error") == "true", "Links": d.links,
	})
}

func (d *argoCD) userinfo(w http.ResponseWriter, r *http.Request) {
	t := whoWasTold(r)
	writeJSON(w, http.StatusOK, map[string]any{
		"loggedIn": t.User != "", "username": t.Name(), "iss": "", "groups": t.Groups,
	})
}

func (d *argoCD) list(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"metadata": map[string]any{}, "items": d.apps})
}

func (d *argoCD) find(name string) *application {
	i := slices.IndexFunc(d.apps, func(a *application) bool { return a.Metadata.Name == name })
	if i < 0 {
		return nil
	}
	return d.apps[i]
}

func (d *argoCD) get(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.find(r.PathValue("name"))
	if a == nil {
		refuse(w, http.StatusNotFound, 5, "application not found")
		return
	}
	writeJSON(w, http.StatusOK, a)
}

func (d *argoCD) sync(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.find(r.PathValue("name"))
	if a == nil {
		refuse(w, http.StatusNotFound, 5, "application not found")
		return
	}
	d.syncs++
	a.Status.Sync.Status = "Synced"
	a.Status.Sync.Revision = fmt.Sprintf("%07x", 0x4a1f09c+d.syncs)
	d.feed.publish("MODIFIED", "application", a)
	writeJSON(w, http.StatusOK, a)
}

func (d *argoCD) stream(w http.ResponseWriter, r *http.Request) {
	d.feed.serve(w, r, func() [][]byte {
		d.mu.Lock()
		defer d.mu.Unlock()
		var now [][]byte
		for _, a := range d.apps {
			now = append(now, wrap("ADDED", "application", a))
		}
		return now
	})
}

// frame is a message of Argo CD's terminal protocol.
type frame struct {
	Operation string `json:"operation"` // stdin, stdout, resize
	Data      string `json:"data"`
	Rows      int    `json:"rows,omitempty"`
	Cols      int    `json:"cols,omitempty"`
}

// terminal echoes. Like the real one it checks no Origin: that is left to what
// stands in front.
func (d *argoCD) terminal(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow() // ends whatever the loop left open
	ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
	defer cancel()
	say := func(text string) error {
		return wsjson.Write(ctx, c, frame{Operation: "stdout", Data: text})
	}
	if say("sample terminal of "+whoWasTold(r).Name()+": it repeats what you type\r\n") != nil {
		return
	}
	for {
		var f frame
		if err := wsjson.Read(ctx, c, &f); err != nil {
			return
		}
		if f.Operation == "stdin" && say(f.Data) != nil {
			return
		}
	}
}
