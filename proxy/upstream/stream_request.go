package upstream

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/example-org/authgate/proxy/respond"
)

// requestsStream reports whether the response may begin late because it is a stream. gRPC calls
// have a transport of their own.
func (u *Upstream) requestsStream(r *http.Request) bool {
	return acceptsEvents(r.Header["Accept"]) || respond.IsGRPCWeb(r) || u.kind.streamsByQuery &&
		hasFollowParam(r.URL.RawQuery)
}

func acceptsEvents(accept []string) bool {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			if isEventStream(element) {
				return true
			}
		}
	}
	return false
}

// hasFollowParam reads a query as grpc-gateway does: a field may be part of another field
// (logOptions.follow, listOptions.watch), and true has several spellings.
func hasFollowParam(query string) bool {
	if !strings.Contains(query, "=") {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if on, err := strconv.ParseBool(value); err != nil || !on {
			continue
		}
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		name = name[strings.LastIndexByte(name, '.')+1:]
		if strings.EqualFold(name, "follow") || strings.EqualFold(name, "watch") {
			return true
		}
	}
	return false
}
