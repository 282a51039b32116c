package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/coder/websocket/wsjson"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

const guestbook = "/api/v1/applications/guestbook"

func (w *walk) unauthenticated(ctx context.Context) {
	w.step(ctx, "curl without a session", "401 problem+json", func(ctx context.Context) (string, error) {
		a, err := visitor.Curl(ctx, http.MethodGet, w.ArgoCD+"/api/v1/applications")
		return summary(a), err
	})
	w.step(ctx, "curl of an unknown host", "421", func(ctx context.Context) (string, error) {
		a, err := visitor.Curl(ctx, http.MethodGet, w.ArgoCD+"/", "Host", "other.example.com")
		return fmt.Sprint(a.Status), err
	})
	w.step(ctx, "browser without a session is redirected to", "/oauth2/start", func(ctx context.Context) (string, error) {
		v, err := w.Visitor("alice")
		if err != nil {
			return "", err
		}
		v.StopAt(w.ArgoCD + "/oauth2/start")
		a, err := v.Open(ctx, w.ArgoCD+"/")
		return a.URL.Path, err
	})
}

func (w *walk) admin(ctx context.Context) {
	w.step(ctx, "alice opens Argo CD, GitHub prompts", "200 prompted: true, Dex: true", func(ctx context.Context) (string, error) {
		a, err := w.alice.Open(ctx, w.ArgoCD+"/")
		return fmt.Sprintf("%d prompted: %t, Dex: %t", a.Status, a.GitHubPrompted, a.Via("/api/dex/auth") && a.Via("/oauth2/callback")), err
	})
	w.step(ctx, "alice opens Workflows, no prompt", "200 prompted: false, Dex: true", func(ctx context.Context) (string, error) {
		a, err := w.alice.Open(ctx, w.Workflows+"/")
		return fmt.Sprintf("%d prompted: %t, Dex: %t", a.Status, a.GitHubPrompted, a.Via("/oauth2/callback")), err
	})
	w.step(ctx, "the dashboard gets her identity headers", "alice, example-org:argo", func(ctx context.Context) (string, error) {
		a, err := w.alice.Open(ctx, w.ArgoCD+"/applications")
		return words(a.Body, "alice", "example-org:argo"), err
	})
	w.step(ctx, "Argo CD gets her own ID token", "logged in as alice, role admin", func(ctx context.Context) (string, error) {
		a, err := w.alice.Open(ctx, w.ArgoCD+"/applications")
		return words(a.Body, "logged in as alice, role admin"), err
	})
	w.step(ctx, "Workflows gets a ServiceAccount token", "logged in as alice, role admin, by ServiceAccount argo-admin", func(ctx context.Context) (string, error) {
		a, err := w.alice.Open(ctx, w.Workflows+"/workflows")
		return words(a.Body, "logged in as alice, role admin, by ServiceAccount argo-admin"), err
	})
	w.step(ctx, "/oauth2/userinfo", "200 alice@example.com, role:admin", func(ctx context.Context) (string, error) {
		a, err := w.alice.Fetch(ctx, http.MethodGet, w.ArgoCD+"/oauth2/userinfo", "")
		return fmt.Sprint(a.Status, " ", words(a.Body, "alice@example.com", "role:admin")), err
	})
	w.step(ctx, "alice's event stream delivers an event", "200 ADDED", func(ctx context.Context) (string, error) {
		s, err := w.alice.Listen(ctx, w.ArgoCD+"/api/v1/stream/applications")
		if err != nil {
			return "", err
		}
		defer s.Close() // only read
		event, err := s.Next()
		return fmt.Sprint(s.Status, " ", words(event, "ADDED")), err
	})
	w.step(ctx, "alice's terminal echoes her input", "101 hello", func(ctx context.Context) (string, error) {
		return typeHello(ctx, w.alice, w.ArgoCD)
	})
	w.fetch(ctx, "alice syncs an application", "200", w.alice, http.MethodPost, w.ArgoCD+guestbook+"/sync")
}

// typeHello types into the terminal and returns what comes back.
func typeHello(ctx context.Context, who *visitor.Visitor, argoCD string) (string, error) {
	c, a, err := who.Dial(ctx, strings.Replace(argoCD, "http", "ws", 1)+"/terminal", "")
	if c == nil {
		if a.Status != 0 {
			err = nil // a refusal is a result
		}
		return fmt.Sprint(a.Status), err
	}
	defer c.CloseNow() // the step has ended
	if err := wsjson.Write(ctx, c, map[string]string{"operation": "stdin", "data": "hello"}); err != nil {
		return "", err
	}
	for {
		var frame struct{ Data string }
		if err := wsjson.Read(ctx, c, &frame); err != nil {
			return "", err
		}
		if frame.Data == "hello" {
			return fmt.Sprint(a.Status, " ", frame.Data), nil
		}
	}
}

func (w *walk) viewer(ctx context.Context) {
	w.step(ctx, "bob opens Argo CD", "200", func(ctx context.Context) (string, error) {
		a, err := w.bob.Open(ctx, w.ArgoCD+"/")
		return fmt.Sprint(a.Status), err
	})
	w.step(ctx, "bob opens Workflows, no prompt", "200 prompted: false", func(ctx context.Context) (string, error) {
		a, err := w.bob.Open(ctx, w.Workflows+"/")
		return fmt.Sprintf("%d prompted: %t", a.Status, a.GitHubPrompted), err
	})
	w.fetch(ctx, "bob lists applications", "200", w.bob, http.MethodGet, w.ArgoCD+"/api/v1/applications")
	w.fetch(ctx, "bob syncs an application", "403 problem+json", w.bob, http.MethodPost, w.ArgoCD+guestbook+"/sync")
	w.step(ctx, "bob opens the terminal", "403", func(ctx context.Context) (string, error) {
		return typeHello(ctx, w.bob, w.ArgoCD)
	})
}

func (w *walk) unauthorized(ctx context.Context) {
	w.step(ctx, "carol opens Argo CD", "403 html", func(ctx context.Context) (string, error) {
		a, err := w.carol.Open(ctx, w.ArgoCD+"/")
		return summary(a), err
	})
	w.step(ctx, "her page says that she has", "no groups", func(ctx context.Context) (string, error) {
		a, err := w.carol.Open(ctx, w.ArgoCD+"/")
		return words(a.Body, "no groups"), err
	})
	w.step(ctx, "and which groups would be admitted", "example-org:argo, example-org:dev", func(ctx context.Context) (string, error) {
		a, err := w.carol.Open(ctx, w.ArgoCD+"/")
		return words(a.Body, "example-org:argo", "example-org:dev"), err
	})
}

const bobMaySync = "\np, role:viewer, argocd, /api/v1/applications/*/sync, POST, allow\n"

// faultPosition is a fault's position in the log; the fault is on the last line.
var faultPosition = regexp.MustCompile(`policy\.csv:(\d+):(\d+)`)

func (w *walk) rules(ctx context.Context) {
	before, err := w.Files.ReadPolicy()
	if err == nil {
		err = w.Files.WritePolicy(before + bobMaySync)
	}
	w.step(ctx, "policy.csv now allows bob to sync, no restart", "200", func(ctx context.Context) (string, error) {
		if err != nil {
			return "", err
		}
		return until(ctx, "200", func() (string, error) {
			a, err := w.bob.Fetch(ctx, http.MethodPost, w.ArgoCD+guestbook+"/sync", "{}")
			return summary(a), err
		})
	})

	reloads := func(ctx context.Context) (float64, error) {
		return w.Metric(ctx, "authgate_policy_reloads_total", "result", "error")
	}
	errorsBefore, err := reloads(ctx)
	broken := before + bobMaySync + "p, role:viewer, argocd, /**, GET, Allow\n"
	if err == nil {
		err = w.Files.WritePolicy(broken)
	}
	w.step(ctx, `broken policy.csv: reloads_total{result="error"}`, "grows", func(ctx context.Context) (string, error) {
		if err != nil {
			return "", err
		}
		return until(ctx, "grows", func() (string, error) {
			n, err := reloads(ctx)
			if n > errorsBefore {
				return "grows", err
			}
			return "stays", err
		})
	})
	want := fmt.Sprintf("policy.csv:%d", strings.Count(broken, "\n"))
	w.step(ctx, "authgate's log names the line", want+":COLUMN", func(ctx context.Context) (string, error) {
		return until(ctx, want+":COLUMN", func() (string, error) {
			log, err := w.Files.ReadLog()
			all := faultPosition.FindAllStringSubmatch(log, -1)
			if len(all) == 0 {
				return "nothing", err
			}
			return "policy.csv:" + all[len(all)-1][1] + ":COLUMN", err
		})
	})
	w.fetch(ctx, "the old policy stays: bob syncs", "200", w.bob, http.MethodPost, w.ArgoCD+guestbook+"/sync")
	err = w.Files.WritePolicy(before)
	w.step(ctx, "policy.csv restored: bob syncs", "403 problem+json", func(ctx context.Context) (string, error) {
		if err != nil {
			return "", err
		}
		return until(ctx, "403 problem+json", func() (string, error) {
			a, err := w.bob.Fetch(ctx, http.MethodPost, w.ArgoCD+guestbook+"/sync", "{}")
			return summary(a), err
		})
	})
}

func (w *walk) signOut(ctx context.Context) {
	w.step(ctx, "alice signs out, then fetches", "401 problem+json", func(ctx context.Context) (string, error) {
		if err := signOut(ctx, w.alice, w.ArgoCD); err != nil {
			return "", err
		}
		a, err := w.alice.Fetch(ctx, http.MethodGet, w.ArgoCD+"/api/v1/applications", "")
		return summary(a), err
	})
	w.step(ctx, "alice left the team at GitHub, and logs in again", "403 html", func(ctx context.Context) (string, error) {
		if err := w.GitHub.Leave("alice", stage.Org, "argo"); err != nil {
			return "", err
		}
		a, err := w.alice.Open(ctx, w.ArgoCD+"/")
		if err == nil && !a.Via("/oauth2/callback") {
			err = errors.New("she was not redirected to the login")
		}
		return summary(a), err
	})
}

// signOut follows the page with the button, as a user does.
func signOut(ctx context.Context, who *visitor.Visitor, host string) error {
	a, err := who.Open(ctx, host+"/oauth2/sign_out")
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "<form") {
		return fmt.Errorf("the sign-out page answers %d and has no button", a.Status)
	}
	a, err = who.Submit(ctx, host+"/oauth2/sign_out", nil)
	if err == nil && a.Status >= 400 {
		err = fmt.Errorf("signing out answers %d", a.Status)
	}
	return err
}
