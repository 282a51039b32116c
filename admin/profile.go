package admin

import (
	"net/http"
	"net/http/pprof"

	"github.com/example-org/authgate/proxy/respond"
)

// mountProfile adds the profiles of the Go runtime (adminProfile). They show what the process
// does and cost CPU, so that each request needs the admin token as a bearer token.
func (h *Handler) mountProfile(mux *http.ServeMux) {
	const root = "/debug/pprof/"
	profiles := http.NewServeMux()
	profiles.HandleFunc(root, pprof.Index) // also heap, goroutine and the other named ones
	profiles.HandleFunc(root+"cmdline", pprof.Cmdline)
	profiles.HandleFunc(root+"profile", pprof.Profile)
	profiles.HandleFunc(root+"symbol", pprof.Symbol)
	profiles.HandleFunc(root+"trace", pprof.Trace)
	mux.HandleFunc(root, func(w http.ResponseWriter, r *http.Request) {
		respond.CloseIfUnread(w, r)
		respond.SetHeaders(w.Header())
		if !h.hasToken(r.Header["Authorization"]) {
			h.refuseToken(w, r)
			return
		}
		if !respond.IsRead(r.Method) && r.Method != http.MethodPost { // `go tool pprof` posts addresses to symbol
			w.Header().Set("Allow", "GET, HEAD, POST")
			refuse(w, respond.Refusal{Status: http.StatusMethodNotAllowed, Code: "method", Detail: "GET reads a profile."})
			return
		}
		profiles.ServeHTTP(w, r)
	})
}
