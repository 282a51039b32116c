package proxy

// maxRequestID bounds what a client may call its request.
const maxRequestID = 128

// requestID is what a request is called in logs, here and upstream: what the
// client called it where that is one clean word, else authgate's own id. It is
// told apart from that id everywhere, because a client can choose it.
func requestID(sent []string, own string) string {
	if len(sent) != 1 || len(sent[0]) == 0 || len(sent[0]) > maxRequestID {
		return own
	}
	for i := range len(sent[0]) {
		if !inRequestID(sent[0][i]) {
			return own
		}
	}
	return sent[0]
}

func inRequestID(c byte) bool {
	switch c {
	case '.', '_', '~', ':', '/', '+', '=', '@', '-':
		return true
	}
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
