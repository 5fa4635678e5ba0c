"""Mutations that prove that each policy can fail: each policy must detect the mutations listed under it."""

import by_hand
import chart
import course
import files
import links
import load
import network
import pods
import restricted

GONE = object()
FULL = "everything but rng-daemonset"
DAEMON = "everything but rng-autoscaling"
CLOSED = "base + network-policies"
POD = "spec template spec"
BOX = f"{POD} containers 0"
RNG, WORKER, REDIS, LOAD = "Deployment rng", "Deployment worker", "StatefulSet redis", "Job load"
GUEST = {"name": "guest", "image": "guest:1"}
SAFE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
BUDGET = {
    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "rng", "labels": {"app": "rng"}},
    "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": {"app": "rng"}}},
}  # fmt: skip
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}, "stringData": {"password": "x"}}
OTHER_SECRET = {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "other", "key": "password"}}}
ANY_PEER = {"podSelector": {}}

# Policy: object, path, new value, and the render (FULL by default).
RENDERED = {
    restricted.restricted: [
        (RNG, f"{POD} hostNetwork", True),
        (RNG, f"{POD} hostPID", True),
        (RNG, f"{POD} hostIPC", True),
        (RNG, f"{POD} securityContext windowsOptions", {"hostProcess": True}),
        (RNG, f"{POD} securityContext runAsNonRoot", GONE),
        (RNG, f"{POD} securityContext runAsNonRoot", False),
        (RNG, f"{POD} securityContext runAsUser", 0),
        (RNG, f"{POD} securityContext seccompProfile", GONE),
        (RNG, f"{POD} securityContext seccompProfile type", "Unconfined"),
        (RNG, f"{POD} securityContext appArmorProfile", {"type": "Unconfined"}),
        (RNG, f"{POD} securityContext seLinuxOptions", {"type": "spc_t"}),
        (RNG, f"{POD} securityContext seLinuxOptions", {"user": "system_u"}),
        (RNG, f"{POD} securityContext seLinuxOptions", {"role": "system_r"}),
        (RNG, f"{POD} securityContext sysctls -", {"name": "kernel.msgmax", "value": "1"}),
        (RNG, f"{POD} volumes", [{"name": "v", "hostPath": {"path": "/"}}]),
        (RNG, f"{POD} volumes", [{"name": "v", "nfs": {"server": "s", "path": "/"}}]),
        (RNG, f"{POD} volumes", [{"name": "v"}]),
        (RNG, "spec template metadata annotations", {"container.apparmor.security.beta.kubernetes.io/rng": "unconfined"}),
        (RNG, f"{BOX} securityContext", GONE),
        (RNG, f"{BOX} securityContext privileged", True),
        (RNG, f"{BOX} securityContext allowPrivilegeEscalation", True),
        (RNG, f"{BOX} securityContext allowPrivilegeEscalation", GONE),
        (RNG, f"{BOX} securityContext capabilities drop", ["NET_RAW"]),
        (RNG, f"{BOX} securityContext capabilities add", ["SYS_ADMIN"]),
        (RNG, f"{BOX} securityContext procMount", "Unmasked"),
        (RNG, f"{BOX} securityContext runAsUser", 0),
        (RNG, f"{BOX} securityContext runAsNonRoot", False),
        (RNG, f"{BOX} securityContext seccompProfile", {"type": "Unconfined"}),
        (RNG, f"{BOX} securityContext appArmorProfile", {"type": "Unconfined"}),
        (RNG, f"{BOX} securityContext seLinuxOptions", {"type": "spc_t"}),
        (RNG, f"{BOX} securityContext windowsOptions", {"hostProcess": True}),
        (RNG, f"{BOX} ports 0 hostPort", 80),
        (RNG, f"{BOX} livenessProbe httpGet host", "127.0.0.1"),
        (REDIS, f"{BOX} livenessProbe tcpSocket host", "127.0.0.1"),
        (RNG, f"{BOX} lifecycle", {"preStop": {"httpGet": {"host": "127.0.0.1", "port": 80}}}),
        (RNG, f"{POD} initContainers", [GUEST]),
        (RNG, f"{POD} initContainers", [GUEST | {"securityContext": SAFE | {"privileged": True}}]),
        (RNG, f"{POD} ephemeralContainers", [GUEST]),
        (RNG, f"{POD} ephemeralContainers", [GUEST | {"securityContext": SAFE | {"runAsUser": 0}}]),
        (REDIS, f"{POD} securityContext runAsUser", 0),
    ],
    pods.probes: [
        (RNG, f"{BOX} startupProbe", GONE),
        (RNG, f"{BOX} readinessProbe", GONE),
        (REDIS, f"{BOX} livenessProbe", GONE),
        (WORKER, f"{BOX} readinessProbe httpGet port", 80),
        (RNG, f"{BOX} livenessProbe httpGet port", "http"),
        (RNG, f"{BOX} livenessProbe httpGet path", "/readyz"),
        (RNG, f"{BOX} livenessProbe", {"tcpSocket": {"port": 9000}}),
        (RNG, f"{BOX} ports 1 name", "other"),
        (REDIS, f"{BOX} livenessProbe tcpSocket port", 9000),
        (REDIS, f"{BOX} readinessProbe exec command", ["true"]),
    ],
    pods.resources: [
        (RNG, f"{BOX} resources", GONE),
        (RNG, f"{BOX} resources limits cpu", GONE),
        (REDIS, f"{BOX} resources requests memory", GONE),
        (RNG, f"{BOX} resources requests memory", "1Gi"),
        (RNG, f"{POD} initContainers", [GUEST]),
    ],
    pods.images: [
        (RNG, f"{BOX} image", "127.0.0.1:5000/rng:latest"),
        (RNG, f"{BOX} image", "127.0.0.1:5000/rng"),
        (RNG, f"{BOX} image", "127.0.0.1:5000/hasher:v0.1"),
        (REDIS, f"{BOX} image", "redis"),
        (REDIS, f"{BOX} image", "docker.io:443/redis"),
        (REDIS, f"{BOX} image", "redis:latest"),
        (RNG, f"{BOX} name", "main"),
        (RNG, f"{POD} containers -", GUEST),
    ],
    pods.grace: [
        (RNG, f"{POD} terminationGracePeriodSeconds", 13),
        (WORKER, f"{POD} terminationGracePeriodSeconds", 8),
        (RNG, f"{BOX} env 0 value", "12s"),
        (WORKER, f"{BOX} env -", {"name": "SHUTDOWN_TIMEOUT", "value": "9m"}),
    ],
    pods.token: [
        (RNG, f"{POD} automountServiceAccountToken", GONE),
        (REDIS, f"{POD} automountServiceAccountToken", True),
        (RNG, f"{POD} volumes", [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
    ],
    pods.env: [
        (RNG, f"{BOX} env -", {"name": "MAX_BODY", "value": "1MiB"}),
        (RNG, f"{BOX} env -", {"name": "RNG_PORT", "value": "80"}),
        (RNG, f"{BOX} env -", {"name": "SHUTDOWN_DELAY", "value": "5s"}),
        (RNG, f"{BOX} envFrom", [{"configMapRef": {"name": "settings"}}]),
        (REDIS, f"{BOX} env -", {"name": "REDIS_SERVICE_HOST", "value": "x"}),
        (WORKER, f"{BOX} env 0 name", "PASSWORD"),
        (WORKER, f"{BOX} env", [{"name": "REDIS_URL", "value": "redis://:$(REDIS_PASSWORD)@redis"}, OTHER_SECRET]),
        (REDIS, f"{BOX} args -", "$(PASSWORD)"),
    ],
    pods.secrets: [
        (None, None, SECRET),
        (WORKER, f"{BOX} env -", OTHER_SECRET),
        (WORKER, f"{BOX} env 0 valueFrom secretKeyRef key", "other"),
        (WORKER, f"{BOX} env 0 valueFrom secretKeyRef optional", True),
        (WORKER, f"{BOX} envFrom", [{"secretRef": {"name": "redis"}}]),
        (WORKER, f"{POD} imagePullSecrets", [{"name": "redis"}]),
        (WORKER, f"{POD} volumes", [{"name": "v", "secret": {"secretName": "redis"}}]),
        ("Ingress webui", "spec tls", [{"secretName": "tls"}]),
    ],
    pods.storage: [
        (RNG, f"{BOX} securityContext readOnlyRootFilesystem", GONE),
        (REDIS, f"{BOX} volumeMounts 0 mountPath", "/var"),
        (REDIS, f"{BOX} volumeMounts", GONE),
        (REDIS, "spec volumeClaimTemplates", GONE),
        (RNG, f"{POD} volumes", [{"name": "v", "hostPath": {"path": "/"}}]),
        (None, None, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"hostPath": {"path": "/"}}}),
    ],
    pods.low_ports: [
        (RNG, f"{POD} securityContext sysctls", GONE),
        (WORKER, f"{BOX} ports -", {"containerPort": 80}),
    ],
    links.objects: [
        (WORKER, "", GONE),
        ("Service rng", "", GONE),
        (WORKER, "kind", "ReplicaSet"),
        (WORKER, "metadata namespace", "default"),
        ("Service rng", "spec ports 0 port", 8080),
        (None, None, BUDGET),
        (None, None, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "worker"}, "spec": {"ports": []}}),
    ],
    links.labels: [
        (RNG, "metadata labels app", "other"),
        (RNG, "spec selector matchLabels app", "other"),
        (RNG, "spec selector matchLabels tier", "back"),
        (RNG, "spec template metadata labels app", "other"),
        ("Service rng", "spec selector", {"app": "hasher"}),
        ("Ingress webui", "metadata labels", GONE),
    ],
    links.selectors: [
        (RNG, "spec selector matchLabels app", "hasher"),
        (RNG, "spec selector", {"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        (RNG, f"{POD} topologySpreadConstraints 0 labelSelector matchLabels app", "hasher"),
        ("PodDisruptionBudget rng", "spec selector matchLabels app", "other"),
        ("PodMonitor dockercoins", "spec selector matchLabels monitoring", "on"),
        ("NetworkPolicy rng", "spec podSelector matchLabels app", "other"),
        ("NetworkPolicy rng", "spec ingress 0 from 0 podSelector matchExpressions 0 values 1", "other"),
        ("NetworkPolicy redis", "spec ingress 0 from 0 podSelector matchExpressions 0 values -", "other"),
        ("NetworkPolicy monitoring", "spec podSelector matchLabels monitoring", "on"),
        (RNG, "spec template metadata labels monitoring", "enabled", CLOSED),
    ],
    links.services: [
        ("Service rng", "spec selector app", "other"),
        ("Service rng", "spec selector", GONE),
        ("Service rng", "spec ports 0 targetPort", 8080),
        ("Service rng", "spec ports 0 targetPort", "web"),
        (RNG, f"{BOX} ports 0", GONE),
    ],
    links.routes: [
        ("Ingress webui", "spec rules 0 http paths 0 backend service name", "other"),
        ("Ingress webui", "spec rules 0 http paths 0 backend service name", "redis"),
        ("Ingress webui", "spec rules 0 http paths 0 backend service port number", 8080),
        ("HTTPRoute webui", "spec rules 0 backendRefs 0 name", "other"),
        ("HTTPRoute webui", "spec rules 0 backendRefs 0 port", 8080),
        ("Service webui", "", GONE),
        (REDIS, "spec serviceName", "other"),
    ],
    links.autoscaler: [
        ("HorizontalPodAutoscaler rng", "spec scaleTargetRef name", "other"),
        ("HorizontalPodAutoscaler rng", "spec scaleTargetRef kind", "StatefulSet"),
        ("HorizontalPodAutoscaler rng", "spec scaleTargetRef apiVersion", "v1"),
        ("HorizontalPodAutoscaler rng", "spec metrics 0 pods metric name", "queue"),
        ("HorizontalPodAutoscaler rng", "spec maxReplicas", 0),
        (RNG, "spec replicas", 1),
    ],
    links.metrics_exist: [
        ("HorizontalPodAutoscaler rng", "spec metrics 0 pods metric name", "queue"),
        ("PodMonitor dockercoins", "spec podMetricsEndpoints 0 path", "/other"),
        (RNG, "spec template metadata annotations prometheus.io/path", "/other"),
    ],
    links.monitoring: [
        (RNG, "spec template metadata labels monitoring", GONE),
        (RNG, "spec template metadata labels monitoring", "enabled", CLOSED),
        (RNG, "spec template metadata annotations", GONE),
        (RNG, "spec template metadata annotations prometheus.io/port", "80"),
        (RNG, f"{BOX} ports 1 containerPort", 9001),
        ("PodMonitor dockercoins", "spec podMetricsEndpoints 0 port", "http"),
    ],
    links.budgets: [
        ("PodDisruptionBudget rng", "spec maxUnavailable", 0),
        ("PodDisruptionBudget rng", "spec maxUnavailable", "0%"),
        ("PodDisruptionBudget rng", "spec", BUDGET["spec"] | {"minAvailable": 1}),
        ("PodDisruptionBudget worker", "spec minAvailable", "50%"),
        ("PodDisruptionBudget rng", "spec unhealthyPodEvictionPolicy", GONE),
        (None, None, BUDGET, DAEMON),
    ],
    network.arrows: [
        ("NetworkPolicy deny-all", "", GONE),
        ("NetworkPolicy deny-all", "spec policyTypes", ["Ingress"]),
        ("NetworkPolicy rng", "", GONE),
        ("NetworkPolicy rng", "spec ingress 0 from", GONE),
        ("NetworkPolicy rng", "spec ingress 0 ports", GONE),
        ("NetworkPolicy rng", "spec ingress 0 ports 0 port", 8080),
        ("NetworkPolicy rng", "spec ingress 0 ports 0 endPort", 90),
        ("NetworkPolicy rng", "spec ingress 0 ports 0 port", "admin"),
        ("NetworkPolicy rng", "spec ingress 0 from -", {"podSelector": {"matchLabels": {"app": "webui"}}}, FULL),
        ("NetworkPolicy worker", "spec egress 0 to -", ANY_PEER),
        ("NetworkPolicy worker", "spec egress -", {}),
        ("NetworkPolicy worker", "spec egress 1", GONE),
        ("NetworkPolicy dns", "spec egress 0", GONE),
        ("NetworkPolicy dns", "spec egress 0 ports 0", GONE),
        ("NetworkPolicy dns", "spec egress 0 to 1", GONE),
        ("NetworkPolicy dns", "spec egress 0 to 2", GONE),
        ("NetworkPolicy dns", "spec egress 0 to 0 podSelector", GONE),
        ("NetworkPolicy webui", "spec egress 0 to -", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
        ("NetworkPolicy webui", "spec ingress 0 from", [ANY_PEER]),
        ("NetworkPolicy webui", "spec ingress 0 from", [{"namespaceSelector": {}}]),
        ("NetworkPolicy webui", "spec ingress 0 ports -", {"port": 9000}),
        ("NetworkPolicy redis", "spec ingress 0 from 0 podSelector", {}),
        *(
            (f"NetworkPolicy {name}", f"{path} matchExpressions 0 values", ["webui", "worker"], "loadtest + network-policies")
            for name, path in (
                ("dns", "spec podSelector"),
                ("hasher", "spec ingress 0 from 0 podSelector"),
                ("redis", "spec ingress 0 from 0 podSelector"),
                ("rng", "spec ingress 0 from 0 podSelector"),
                ("worker", "spec podSelector"),
            )
        ),
        ("NetworkPolicy monitoring", "spec ingress 0 from 0 podSelector", GONE),
        ("NetworkPolicy monitoring", "spec ingress 0 from 0 namespaceSelector", GONE),
        (RNG, "spec template metadata labels monitoring", GONE),
        (RNG, "spec template metadata labels monitoring", "enabled", CLOSED),
        (None, None, {"kind": "NetworkPolicy", "metadata": {"name": "any"}, "spec": {"podSelector": {}, "ingress": [{}]}}, "base"),
    ],
    load.load: [
        (LOAD, "metadata name", "other", "loadtest"),
        (LOAD, "spec backoffLimit", 6, "loadtest"),
        (LOAD, f"{POD} restartPolicy", "OnFailure", "loadtest"),
        (LOAD, "spec template metadata labels app", "worker", "loadtest"),
        (LOAD, "metadata labels app", "worker", "loadtest"),
        (LOAD, f"{POD} securityContext runAsNonRoot", GONE, "loadtest"),
        (LOAD, f"{POD} automountServiceAccountToken", GONE, "loadtest"),
        (LOAD, f"{BOX} securityContext readOnlyRootFilesystem", False, "loadtest"),
        (LOAD, f"{BOX} image", "load", "loadtest"),
        (LOAD, f"{BOX} image", "127.0.0.1:5000/worker:v0.1", "loadtest"),
        (LOAD, f"{BOX} name", "worker", "loadtest"),
        (LOAD, f"{BOX} resources limits memory", GONE, "loadtest"),
        (LOAD, f"{BOX} env -", {"name": "SPEED", "value": "1"}, "loadtest"),
        (LOAD, f"{BOX} env", [], "loadtest"),
    ],
}  # fmt: skip

# Invalid objects.
INVALID = [
    (RNG, "kind", "Deploymint"),
    (RNG, "apiVersion", "apps/v2"),
    (RNG, "apiVersion", "apps.example.com/v1"),
    (RNG, "spec selector", GONE),
    (RNG, f"{POD} nodeName", 1),
    (RNG, f"{BOX} imagePulPolicy", "Always"),
    (RNG, f"{BOX} ports 0 containerPort", "eighty"),
    ("HTTPRoute webui", "spec parentRef", []),
    ("HTTPRoute webui", "spec rules 0 backendRefs 0 port", "80"),
    ("HTTPRoute webui", "apiVersion", "gateway.networking.k8s.io/v1alpha2"),
    ("PodMonitor dockercoins", "spec selectors", {}),
    ("PodMonitor dockercoins", "spec podMetricsEndpoints 0 port", 9000),
]  # fmt: skip

# Policy: file under k8s, old text (None creates the file) and new text.
IN_FILES = {
    files.no_orphans: [
        ("components/ingress/extra.yaml", None, "kind: ConfigMap"),
        ("components/empty/extra.yaml", None, "kind: ConfigMap"),
        ("components/network-policies/kustomization.yaml", "- redis.yaml\n", ""),
    ],
    files.no_secrets: [
        ("components/redis-password/secret.yaml", None, "apiVersion: v1\nkind: Secret\n"),
        ("components/redis-password/kustomization.yaml", "patches:", "secretGenerator:\n- name: redis\npatches:"),
    ],
    files.named_once: [
        ("base/rng.yaml", "image: rng", "image: 127.0.0.1:5000/rng"),
        ("base/rng.yaml", "image: rng", "image: rng:v0.1"),
    ],
    files.apart: [
        ("kustomization.yaml", None, "resources: [base]"),
    ],
    files.labelled: [
        ("components/network-policies/monitoring.yaml", "matchExpressions:\n        - key: app.kubernetes.io/name\n          operator: In\n          values: [prometheus]", "matchLabels: {app.kubernetes.io/name: prometheus}"),
        ("components/network-policies/dns.yaml", "matchExpressions:\n        - key: k8s-app\n          operator: In\n          values: [kube-dns, node-local-dns]", "matchLabels: {k8s-app: kube-dns}"),
    ],
    files.sorted_components: [
        ("overlays/production/kustomization.yaml", "- ../../components/disruption-budgets\n- ../../components/ingress", "- ../../components/ingress\n- ../../components/disruption-budgets"),
    ],
    files.images_follow: [
        ("components/registry/kustomization.yaml", "{kind: ConfigMap, name: images, fieldPath: data.TAG}", "{kind: Service, name: rng, fieldPath: metadata.name}"),
        ("components/registry/kustomization.yaml", '"registry/rng:tag"', '"registry/hasher:tag"'),
        ("components/registry/kustomization.yaml", '"registry/load:tag"', '"registry/worker:tag"'),
        ("overlays/loadtest/kustomization.yaml", "components:\n- ../../components/registry\n", ""),
        ("overlays/production/kustomization.yaml", "patches:", "patches:\n- target: {kind: Deployment, name: rng}\n  patch: |\n    - {op: replace, path: /spec/template/spec/containers/0/image, value: '127.0.0.1:5000/rng:v0.1'}"),
    ],
    course.rendered: [
        ("dockercoins.yaml", "periodSeconds: 1\n", "periodSeconds: 2\n"),
        ("base/rng.yaml", "replicas: 1", "replicas: 2"),
    ],
    course.contract: [
        ("dockercoins.yaml", "kind: Service", "# A comment\nkind: Service"),
        ("dockercoins.yaml", "app: rng", 'app: "{{ name }}"'),
        ("dockercoins.yaml", "  name: rng", "  namespace: default\n  name: rng"),
        ("dockercoins.yaml", "  replicas: 1", "  replicas: 1\n  minReadySeconds: 5"),
        ("dockercoins.yaml", "  replicas: 1", "  replicas: 1\n  strategy: {type: Recreate}"),
        ("dockercoins.yaml", "  replicas: 1", "  replicas: 2"),
        ("dockercoins.yaml", "  type: NodePort", "  type: ClusterIP"),
        ("dockercoins.yaml", "  - port: 6379", "  - port: 6380"),
        ("dockercoins.yaml", "kind: Deployment", "kind: DaemonSet"),
        ("dockercoins.yaml", "name: rng\n        ports", "name: main\n        ports"),
        ("dockercoins.yaml", "127.0.0.1:5000/rng:v0.1", "127.0.0.1:5000/rng:v0.2"),
        ("dockercoins.yaml", "        app: rng", "        app: rng\n        monitoring: enabled"),
    ],
    by_hand.by_hand: [
        ("course/rng-deployment.yaml", "        app: rng", "        app: other"),
        ("course/rng-deployment.yaml", "replicas: 1", "replicas: 2"),
        ("course/webui-service.yaml", "type: NodePort", "type: LoadBalancer"),
        ("course/redis-service.yaml", "port: 6379", "port: 6380"),
    ],
    course.plain: [
        ("course/kustomization.yaml", None, "resources: []"),
        ("course/rng-deployment.yaml", "v0.1", "v0.2"),
        ("course/rng-deployment.yaml", "127.0.0.1:5000", "registry.example.com"),
        ("course/rng-deployment.yaml", "replicas: 1", "replicas: 2"),
        ("course/rng-deployment.yaml", "        app: rng", "        app: other"),
        ("course/rng-deployment.yaml", "containerPort: 80", "containerPort: 8080"),
        ("course/rng-deployment.yaml", "      - name: rng", "      - name: main"),
        ("course/rng-deployment.yaml", "    spec:\n", "    spec:\n      terminationGracePeriodSeconds: 20\n"),
        ("course/rng-deployment.yaml", "        ports", "        readinessProbe: {httpGet: {path: /readyz, port: 9000}}\n        ports"),
        ("course/rng-deployment.yaml", "kind:", "# A comment\nkind:"),
        ("course/rng-service.yaml", "kind: Service", "kind: Servis"),
        ("course/rng-service.yaml", "port: 80", "port: 8080"),
        ("course/rng-service.yaml", "\n  ports", "\n  type: NodePort\n  ports"),
        ("course/webui-service.yaml", "  type: NodePort\n", ""),
        ("course/worker-deployment.yaml", "apiVersion", "apiVersion: v1\nkind: Namespace\nmetadata: {name: dockercoins}\n---\napiVersion"),
        ("course/worker-deployment.yaml", "apiVersion", "\n" * 30 + "apiVersion"),
        ("course/worker-service.yaml", None, "apiVersion: v1\nkind: Service\nmetadata: {name: worker}\nspec: {ports: [{port: 80}]}\n"),
        ("dockercoins.yaml", "redis:8-alpine", "redis:9-alpine"),
    ],
}  # fmt: skip

# Folder, file, old text and new text, which repeats a field.
REPEATED = [
    ("rng-autoscaling", "components/rng-autoscaling/kustomization.yaml", "    - {op: remove", "    - {op: replace, path: /spec/template/spec/automountServiceAccountToken, value: false}\n    - {op: remove"),
    ("monitoring", "base/hasher.yaml", "      labels:\n        app", "      labels:\n        monitoring: enabled\n        app"),
    ("redis-password", "components/redis-password/webui.yaml", "      containers:", "      automountServiceAccountToken: false\n      containers:"),
    ("loadtest", "overlays/loadtest/kustomization.yaml", "count: 0", "count: 1"),
]  # fmt: skip

# Policy: file of the chart, old text and new text.
IN_CHART = {
    chart.same: [
        ("templates/deployment.yaml", "app: {{ $name }}", "app: {{ $name }}\n    tier: back"),
        ("templates/deployment.yaml", "kind: Deployment", "kind: DaemonSet"),
        ("templates/service.yaml", "port: {{ $component.port }}", "port: 80"),
        ("templates/service.yaml", "{{- if and $component.enabled $component.port }}", "{{- if $component.enabled }}"),
        ("values.yaml", "tag: v0.1", "tag: v0.2"),
        ("values.yaml", "serviceType: NodePort", "serviceType: ClusterIP"),
        ("values.yaml", "redis:8-alpine", "redis:9-alpine"),
        ("values.yaml", "probes: false", "probes: true"),
    ],
    chart.single: [
        ("none.yaml", "  redis: {enabled: false}\n", ""),
        ("templates/deployment.yaml", "{{- if $component.enabled }}", "{{- if $name }}"),
        ("templates/service.yaml", "{{- if and $component.enabled $component.port }}", "{{- if $component.port }}"),
    ],
    chart.settings: [
        ("templates/deployment.yaml", "{{ $.Values.registry }}", "127.0.0.1:5000"),
        ("templates/deployment.yaml", "{{ $.Values.tag }}", "v0.1"),
        ("templates/deployment.yaml", "{{ $component.replicas }}", "1"),
        ("templates/deployment.yaml", "{{ $component.image }}", "redis"),
        ("templates/deployment.yaml", "{{ $value | quote }}", "{{ $value }}"),
        ("templates/service.yaml", "{{ $component.serviceType }}", "NodePort"),
    ],
    chart.probes: [
        ("templates/deployment.yaml", "path: /healthz", "path: /readyz"),
        ("templates/deployment.yaml", "port: 9000", "port: 80"),
        ("templates/deployment.yaml", "(not $component.image)", "true"),
        ("templates/deployment.yaml", "periodSeconds: 2", "periodSeconds: 5"),
    ],
    chart.valid: [
        ("templates/deployment.yaml", "livenessProbe", "aliveProbe"),
        ("templates/service.yaml", "  selector", "  selectors"),
    ],
}  # fmt: skip

# Blocks of YAML that no documentation may contain.
EXAMPLES = [
    "a: [",
    "{apiVersion: v1, kind: Pod, metadata: {name: build}, spec: {container: []}}",
    "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: rng}, spec: {rules: [{hosts: rng}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: TLSRoute, metadata: {name: redis}, spec: {rules: []}}",
    "{apiVersion: example.com/v1, kind: Unknown, metadata: {name: x}}",
    "resources: [../../missing]",
    "resources: ['https://github.com/OWNER/REPO//k8s/missing?ref=main']",
    "components: [../../components/missing]",
    "namePrefix: dev-",
    "patches: [{target: {kind: Deployment, name: worker}, patch: '[{op: add, path: /spec/replica, value: 1}]'}]",
    "{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: x}, spec: {source: {path: k8s/missing}}}",
    "{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, metadata: {name: x}, spec: {template: {spec: {source:"
    " {path: charts/dockercoins, helm: {valueFiles: [missing.yaml]}}}}}}",
    "{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: x}, spec: {chart: {spec: {chart: x}}}}",
    "{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: x}, spec: {chart: {spec: {chart:"
    " charts/dockercoins}}, values: {component: {worker: {replicas: 2}}}}}",
    "dockercoins: {components: {workers: {replicas: 2}}}",
]
