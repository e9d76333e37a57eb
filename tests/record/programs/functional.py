"""`torch.func`: gradients by `grad`, per-example gradients by `vmap`, an ensemble by `stack_module_state`."""

import copy
import hashlib

import torch
from torch import nn
from torch.func import functional_call, grad, grad_and_value, stack_module_state, vmap


def digest(tensors):
    return hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in tensors)).hexdigest()


torch.manual_seed(11)
net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.LayerNorm(24), nn.Linear(24, 3))
parameters = {name: value.detach().clone() for name, value in net.named_parameters()}


def loss_of(weights, x, y):
    return nn.functional.cross_entropy(functional_call(net, weights, (x,)), y)


def loss_of_one(weights, x, y):
    return loss_of(weights, x.unsqueeze(0), y.unsqueeze(0))


for _ in range(60):
    x = torch.randn(32, 6)
    y = x[:, :3].argmax(1)
    gradients, loss = grad_and_value(loss_of)(parameters, x, y)
    parameters = {name: value - 0.1 * gradients[name] for name, value in parameters.items()}
    print(loss.item().hex())

for _ in range(30):
    x = torch.randn(16, 6)
    y = x[:, :3].argmax(1)
    single = vmap(grad(loss_of_one), in_dims=(None, 0, 0))(parameters, x, y)
    norms = sum(value.flatten(1).pow(2).sum(1) for value in single.values()).sqrt()
    share = (1.0 / norms).clamp(max=1.0)
    for name, value in single.items():
        parameters[name] = parameters[name] - 0.05 * torch.einsum("b,b...->...", share, value) / 16
    print(norms.mean().item().hex())

members = [nn.Linear(6, 3) for _ in range(4)]
stacked, buffers = stack_module_state(members)
base = copy.deepcopy(members[0]).to("meta")
optimizer = torch.optim.SGD(stacked.values(), lr=0.1)
for _ in range(40):
    x = torch.randn(32, 6)
    y = x[:, :3].argmax(1)
    outputs = vmap(lambda p, b, x=x: functional_call(base, (p, b), (x,)))(stacked, buffers)
    loss = vmap(nn.functional.cross_entropy, in_dims=(0, None))(outputs, y).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
jacobian = torch.func.jacrev(lambda x: functional_call(net, parameters, (x,)))(torch.ones(1, 6))
print(digest([*parameters.values(), *stacked.values(), jacobian]))
