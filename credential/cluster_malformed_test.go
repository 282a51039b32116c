package credential_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestNothingThatTheAPIServerSaysIsRepeated covers answers that are no HTTP, or whose
// parts repeat what was sent to it. The errors of net/http quote them.
func TestNothingThatTheAPIServerSaysIsRepeated(t *testing.T) {
	const secret = "authgates-own-not-shown"
	for name, answer := range map[string]string{
		"no HTTP":              secret + "\r\n\r\n",
		"a header line":        "HTTP/1.1 201 Created\r\n" + secret + "\r\n\r\n",
		"a status line":        "HTTP/1.1 " + secret + "\r\n\r\n",
		"the reason of a 500":  "HTTP/1.1 500 " + secret + "\r\nContent-Length: 0\r\n\r\n",
		"the reason of a 201":  "HTTP/1.1 201 " + secret + "\r\nContent-Length: 2\r\n\r\n{}",
		"a length":             "HTTP/1.1 201 Created\r\nContent-Length: " + secret + "\r\n\r\n",
		"a coding":             "HTTP/1.1 201 Created\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"a chunk":              "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
		"a Location":           "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://%zz" + secret + "\r\n\r\n",
		"a header without end": "HTTP/1.1 201 Created\r\nX-Secret: " + secret,
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = conn.Write([]byte(answer)) // the client may have given up
			})
			_, err := c.ServiceAccount("argo", "argo-admin").Token(t.Context())
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%v", err)
			}
		})
	}
}
