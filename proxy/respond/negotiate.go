package respond

import (
	"net/http"
	"strings"
	"time"
)

// CloseIfUnread ends an HTTP/1 connection whose request body will not be read: net/http
// would wait for that body before it sends the answer, and no other timeout runs meanwhile
// (golang/go#25475). Every answer of authgate's own needs it. HTTP/2 resets the stream.
func CloseIfUnread(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == http.NoBody {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second))
}

// IsRead reports whether a method only reads.
func IsRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// IsNavigation reports whether a browser is opening a page. A script or another program
// cannot follow a login.
func IsNavigation(r *http.Request) bool {
	return r.Method == http.MethodGet && len(r.Header["Upgrade"]) == 0 && WantsHTML(r)
}

// IsFromOtherSite reports whether a page of another site sent the browser here. With
// sameSite: strict the browser then leaves the session cookie out, also after redirects
// (RFC 6265bis, 5.2). When a page of this site repeats the request, the browser sends
// same-origin, so that this cannot loop.
func IsFromOtherSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return IsNavigation(r) && (site == "cross-site" || site == "same-site")
}

// WantsHTML reports whether the answer is shown to a user. Browsers say so in Sec-Fetch-Mode
// (W3C Fetch Metadata). On plain http, older ones only accept HTML by name.
func WantsHTML(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return acceptsHTML(r.Header["Accept"]) && r.Header.Get("X-Requested-With") == ""
}

func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(element, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/html") {
				return true
			}
		}
	}
	return false
}
