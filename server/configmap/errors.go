package configmap

import "fmt"

// NotFoundError says that there is no such ConfigMap.
type NotFoundError struct{ Path string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("ConfigMap %s does not exist: create it, or correct policy.configMap", e.Path)
}

// NoKeysError says that a ConfigMap holds no rows.
type NoKeysError struct{ Path string }

func (e *NoKeysError) Error() string {
	return fmt.Sprintf("ConfigMap %s has no key that ends in %s: add one, such as policy.csv", e.Path, keySuffix)
}

// ForbiddenError says that authgate's own account may not read the ConfigMap.
type ForbiddenError struct{ Namespace, Name string }

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the API server forbids reading ConfigMap %s/%s: a Role in namespace %s that allows list and "+
		"watch on configmaps with resourceNames [%s], bound to authgate's own ServiceAccount, is missing",
		e.Namespace, e.Name, e.Namespace, e.Name)
}

// UnauthorizedError says that the API server does not accept authgate's own token.
type UnauthorizedError struct{ Path string }

func (e *UnauthorizedError) Error() string {
	return fmt.Sprintf("reading ConfigMap %s: the API server rejected authgate's own token: mount a token of its "+
		"ServiceAccount (automountServiceAccountToken), or correct KUBECONFIG", e.Path)
}

// UnreachableError says that the API server gave no usable answer. Another attempt may succeed.
type UnreachableError struct{ Path, Reason string }

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reading ConfigMap %s: no usable answer of the API server of Kubernetes: %s", e.Path, e.Reason)
}
