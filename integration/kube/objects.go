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
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// Apply makes or changes every object of a file of YAML, as `kubectl apply
// --server-side` does. What the server does not know in a manifest is an error.
func (s *Server) Apply(ctx context.Context, manifests string) error {
	return s.apply(ctx, manifests, metav1.PatchOptions{})
}

// Check is Apply that changes nothing: `--dry-run=server`.
func (s *Server) Check(ctx context.Context, manifests string) error {
	return s.apply(ctx, manifests, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
}

func (s *Server) apply(ctx context.Context, manifests string, o metav1.PatchOptions) error {
	force := true
	o.FieldManager, o.Force, o.FieldValidation = "test", &force, metav1.FieldValidationStrict
	return s.each(manifests, func(document []byte, object *unstructured.Unstructured, r dynamic.ResourceInterface) error {
		_, err := r.Patch(ctx, object.GetName(), types.ApplyYAMLPatchType, document, o)
		return err
	})
}

// Delete removes every object of a file of YAML.
func (s *Server) Delete(ctx context.Context, manifests string) error {
	return s.each(manifests, func(_ []byte, o *unstructured.Unstructured, r dynamic.ResourceInterface) error {
		return r.Delete(ctx, o.GetName(), metav1.DeleteOptions{})
	})
}

func (s *Server) each(manifests string, do func(document []byte, o *unstructured.Unstructured, r dynamic.ResourceInterface) error) error {
	groups, err := restmapper.GetAPIGroupResources(s.kinds)
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
			err = do([]byte(document), &o, s.in(mapping, o.GetNamespace()))
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind.Kind, o.GetName(), err)
		}
	}
	return nil
}

func (s *Server) in(mapping *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	all := s.objects.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return all
	}
	if namespace == "" {
		namespace = "argo" // where what comes without one is installed
	}
	return all.Namespace(namespace)
}

// Token is what a pod of a ServiceAccount would find mounted.
func (s *Server) Token(ctx context.Context, namespace, account string, audiences ...string) (string, error) {
	client, err := kubernetes.NewForConfig(s.config(s.admin))
	if err != nil {
		return "", err
	}
	seconds := int64(3600)
	t, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking for a token of %s/%s: %w", namespace, account, err)
	}
	return t.Status.Token, nil
}

// TokenReview asks the server whose token it is, as every request that carries one does.
func (s *Server) TokenReview(ctx context.Context, token string) (string, error) {
	client, err := kubernetes.NewForConfig(s.config(token))
	if err != nil {
		return "", err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}
