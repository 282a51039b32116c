//go:build unix

package kube

import (
	"context"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// Client speaks to an API server as one who may do everything.
type Client struct {
	kubernetes.Interface

	config  *rest.Config
	objects *dynamic.DynamicClient
	kinds   *discovery.DiscoveryClient
}

// Connect sends nothing yet.
func Connect(config *rest.Config) (*Client, error) {
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfig(config)
	return &Client{typed, config, objects, kinds}, err
}

// Ready reports whether the server answers, and has the namespace that it makes for
// itself.
func (c *Client) Ready(ctx context.Context) error {
	if _, err := c.kinds.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	_, err := c.kinds.RESTClient().Get().AbsPath("/api/v1/namespaces/default").DoRaw(ctx)
	return err
}

// Apply makes or changes every object of a file of YAML, as `kubectl apply
// --server-side` does. What the server does not know in a manifest is an error.
func (c *Client) Apply(ctx context.Context, manifests string) error {
	return c.apply(ctx, manifests, metav1.PatchOptions{})
}

// Check is Apply that changes nothing: `--dry-run=server`.
func (c *Client) Check(ctx context.Context, manifests string) error {
	return c.apply(ctx, manifests, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
}

func (c *Client) apply(ctx context.Context, manifests string, o metav1.PatchOptions) error {
	force := true
	o.FieldManager, o.Force, o.FieldValidation = "test", &force, metav1.FieldValidationStrict
	return c.each(manifests, func(document []byte, object *unstructured.Unstructured, r dynamic.ResourceInterface) error {
		_, err := r.Patch(ctx, object.GetName(), types.ApplyYAMLPatchType, document, o)
		return err
	})
}

// Delete removes every object of a file of YAML.
func (c *Client) Delete(ctx context.Context, manifests string) error {
	return c.each(manifests, func(_ []byte, o *unstructured.Unstructured, r dynamic.ResourceInterface) error {
		return r.Delete(ctx, o.GetName(), metav1.DeleteOptions{})
	})
}

func (c *Client) each(manifests string, do func(document []byte, o *unstructured.Unstructured, r dynamic.ResourceInterface) error) error {
	groups, err := restmapper.GetAPIGroupResources(c.kinds)
	if err != nil {
		return fmt.Errorf("asking which kinds there are: %w", err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	for document := range strings.SplitSeq(manifests, "\n---") {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			return fmt.Errorf("reading a manifest: %w\n%s", err, document)
		}
		if len(o.Object) == 0 {
			continue
		}
		kind := o.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err == nil {
			err = do([]byte(document), &o, c.in(mapping, o.GetNamespace()))
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind.Kind, o.GetName(), err)
		}
	}
	return nil
}

func (c *Client) in(mapping *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	all := c.objects.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return all
	}
	if namespace == "" {
		namespace = "argo" // where what comes without one is installed
	}
	return all.Namespace(namespace)
}

// Token is what a pod of a ServiceAccount would find mounted.
func (c *Client) Token(ctx context.Context, namespace, account string, audiences ...string) (string, error) {
	seconds := int64(3600)
	t, err := c.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking for a token of %s/%s: %w", namespace, account, err)
	}
	return t.Status.Token, nil
}

// TokenReview asks the server whose token it is, as every request that carries one does.
func (c *Client) TokenReview(ctx context.Context, token string) (string, error) {
	own := rest.AnonymousClientConfig(c.config)
	own.BearerToken = token
	client, err := kubernetes.NewForConfig(own)
	if err != nil {
		return "", err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}
