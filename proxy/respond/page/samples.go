package page

import (
	"strings"
	"time"
)

// sampleReader is for whom samples are rendered.
var sampleReader = Reader{ID: "3f1c9a7e5b2d", Portal: "/oauth2/"}

// Samples are pages in all the states that they can have. Templates are checked with them.
func Samples() []Page {
	many := strings.Fields(strings.Repeat("example-org:team ", 12))
	denied := Denied{
		User: "ana@example.com", Groups: many[:2], Roles: []string{"role:viewer"}, ShowAdmitted: true,
		Admitted: many[:10], AdmittedMore: 3, Upstream: "Argo CD", Product: "Argo CD", Method: "POST",
		Path: "/api/v1/applications/web/sync", SignOut: "/oauth2/sign_out", SwitchUser: "/oauth2/start?prompt=login",
	}
	ruled := denied
	ruled.Groups, ruled.Rule, ruled.Action, ruled.Back = many, "policy.csv:3", "action.open", "/"
	ruled.Refresh, ruled.ReturnTo = "/oauth2/refresh", "/"
	ruled.Request, ruled.Admitted, ruled.AdmittedMore = "https://example.com/request", nil, 0
	hidden := denied
	hidden.Groups, hidden.Roles, hidden.Overage, hidden.ShowAdmitted = nil, nil, true, false
	link := Link{Text: TextTryAgain, URL: "/"}
	now := time.Date(2026, 11, 28, 10, 30, 0, 0, time.UTC)
	session := Session{
		Now: now, Created: now.Add(-25 * time.Hour), Expires: now.Add(90 * time.Minute), GroupsReadAt: now, Stale: true,
		IdleTimeout: time.Hour, Refresh: "/oauth2/refresh", EndAll: "/oauth2/sign_out?everywhere=1",
	}
	return []Page{
		denied, ruled, hidden,
		Problem{
			Status: 502, Code: "upstream_down", Detail: "The dashboard argocd could not be reached.", Upstream: "Argo CD",
			Retry: 5, Next: link,
		},
		Problem{Status: 503, Code: "session_not_ended", Detail: "This browser is signed out.", Until: "2026-11-28 10:30 UTC"},
		Problem{Status: 500, Code: "unknown", Detail: "Something else."},
		SignIn{Issuer: "dex.example.com", Action: "/oauth2/start"},
		SignOut{User: "ana@example.com", Action: "/oauth2/sign_out", ReturnTo: "/", IssuerToo: true},
		SignOut{Action: "/oauth2/sign_out", All: true},
		SignedOut{SignIn: link, IssuerToo: true},
		SignedOut{
			SignIn: link, SwitchUser: "/oauth2/start", Return: link, IssuerSignOut: "https://dex.example.com/logout",
			Hosts: []HostSession{{"argo-cd.example.com", "signedout.host.ended"}},
		},
		Portal{User: "ana@example.com", Groups: many, SignOut: "/oauth2/sign_out", Tiles: []Tile{
			{
				Title: "Argo CD", Description: "Deployments", URL: "/", Icon: "data:image/png;base64,",
				Roles: []string{"role:viewer"},
			},
			{Title: "Argo Workflows", URL: "/", Maintenance: "Back at 14:00 UTC."},
		}, Session: &session},
		Portal{User: "ana@example.com", Overage: true, SignOut: "/oauth2/sign_out"},
		Interstitial{Link: Link{Text: TextSignedIn, URL: "/"}},
		Interstitial{Link: Link{Text: TextShortened, URL: "/"}, Confirm: true, RestoreFragment: true},
		Interstitial{Link: Link{Text: TextSigningIn, URL: "/"}, KeepFragment: true},
	}
}
