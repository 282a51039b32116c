package credential

import (
	"errors"
	"fmt"
)

// ForbiddenError says that authgate's own account may not create the token.
type ForbiddenError struct{ Namespace, Name string }

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the API server forbids a token for ServiceAccount %s/%s", e.Namespace, e.Name)
}

// Hint names the Role that is missing.
func (e *ForbiddenError) Hint() string {
	return fmt.Sprintf("A Role in namespace %s that allows create on serviceaccounts/token with resourceNames [%s], "+
		"bound to authgate's own ServiceAccount, is missing.", e.Namespace, e.Name)
}

// NotFoundError says that the account does not exist.
type NotFoundError struct{ Namespace, Name string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no ServiceAccount %s/%s", e.Namespace, e.Name)
}

// Hint names the account.
func (e *NotFoundError) Hint() string {
	return fmt.Sprintf("Create ServiceAccount %s in namespace %s, or name another one in identity.serviceAccounts.",
		e.Name, e.Namespace)
}

// UnauthorizedError says that the API server does not accept authgate's own token.
type UnauthorizedError struct{}

func (*UnauthorizedError) Error() string { return "the API server rejected authgate's own token" }

// Hint says which token it needs.
func (*UnauthorizedError) Hint() string {
	return "Mount a token of authgate's own ServiceAccount (automountServiceAccountToken), or correct KUBECONFIG."
}

// UnreachableError says that the API server gave no usable response.
type UnreachableError struct{ Reason string }

func (e *UnreachableError) Error() string {
	return "no usable answer of the API server of Kubernetes: " + e.Reason
}

// Hint says what to check.
func (*UnreachableError) Hint() string {
	return "The API server of Kubernetes cannot be asked right now."
}

// NoClusterError says that the address of the API server is unknown.
type NoClusterError struct{ Reason string }

func (e *NoClusterError) Error() string { return "no API server of Kubernetes is known: " + e.Reason }

// Hint says where the address comes from.
func (*NoClusterError) Hint() string {
	return "Run authgate in a pod with a ServiceAccount, or set KUBECONFIG; " +
		"or write tokenFile in identity.serviceAccounts."
}

// TokenError says that a token is invalid.
type TokenError struct{ Reason string }

func (e *TokenError) Error() string { return "the token cannot be used: " + e.Reason }

// FileError says that a tokenFile cannot be read.
type FileError struct {
	Path string
	err  error
}

func (e *FileError) Error() string {
	return "tokenFile " + e.Path + " cannot be read: " + e.err.Error()
}
func (e *FileError) Unwrap() error { return e.err }

// Hint does not name the file: users see it.
func (*FileError) Hint() string { return "The file that holds its token (tokenFile) cannot be read." }

func hintOf(err error) string {
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		return hinter.Hint()
	}
	return ""
}
