"""One generator, one discriminator, and their training steps."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import augment, networks
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.equilibrium import equilibrium_losses


class DCGAN:
    """The model of the first study: two networks, two losses, two optimisers.

    :meth:`train_discriminator` and :meth:`train_generator` do one update each, and
    :meth:`train_step` does both on one batch. The generator's update reuses the images that the
    discriminator has just seen, like the PyTorch tutorial: the generator has not changed since,
    so new images would only cost another forward pass (the study generates new ones).

    Attributes
    ----------
    generator, discriminator : torch.nn.Module
        The networks in training.
    ema : torch.nn.Module
        The EMA generator: its weights and running statistics are exponential moving averages of
        the generator's. It generates every image that is shown or measured.
    """

    def __init__(self, config: TrainConfig):
        self.config = config
        self.prior = config.prior
        self.device = torch.device(config.device)
        self.generator, self.discriminator = networks.build_networks(
            config.architecture, **config.sizes
        )
        self.initialise_weights()
        self.memory_format = networks.memory_format(self.device)
        for network in (self.generator, self.discriminator):
            network.to(self.device, memory_format=self.memory_format)
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.steps = 0
        self.noise_scale = 1.0  # annealing factor of instance and layer noise
        self.augment_probability = 0.0  # of ADA
        self.generator_optimizer = self._adam(self.generator)
        self.discriminator_optimizer = self._adam(self.discriminator)
        self.noise_rng = stream(config.seed, "noise")
        self.augment_rng = stream(config.seed, "augment")

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(),
            lr=self.config.lr,
            betas=(self.config.beta1, self.config.beta2),
            eps=self.config.eps,
            fused=self._fused,
        )

    @property
    def _fused(self) -> bool:
        return self.device.type in ("cpu", "cuda")

    def initialise_weights(self) -> None:
        """Draw the weights of both networks from the run's seed (`networks.initialise_weights`)."""
        rng = stream(self.config.seed, "init")
        for network in (self.generator, self.discriminator):
            networks.initialise_weights(network, rng)

    def real_loss(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the binary cross entropy against ``real_label`` (0.8 in the first study).

        The logits are the discriminator's output before the sigmoid, shape ``(n,)``. The study has
        the sigmoid in the network and uses BCELoss; combining both is numerically stable.
        """
        return self._cross_entropy(logits, self.config.real_label)

    def fake_loss(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the binary cross entropy against ``fake_label`` (0.1 in the first study)."""
        return self._cross_entropy(logits, self.config.fake_label)

    def _update_augment_probability(self, on_real: torch.Tensor) -> None:
        p = equilibrium_losses(self.config.real_label, self.config.fake_label)["probability"]
        self.augment_probability = augment.update_probability(
            self.augment_probability, on_real, balance=math.log(p / (1 - p))
        )

    @staticmethod
    def _cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
        logits = logits.float()
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def generate(self, n: int) -> torch.Tensor:
        """Return ``n`` new images, shape ``(n, 3, H, W)``, attached to the autograd graph."""
        z = self.prior.sample(
            n, self.config.noise_size, generator=self.noise_rng, device=self.device
        )
        with self._autocast():
            return self.generator(z)

    def discriminate(self, images: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's logits, shape ``(n,)``, after augmentation and noise."""
        images = augment.augment_inputs(
            self.config.augment,
            images.float(),
            self.augment_rng,
            probability=self.augment_probability,
        )
        images = self._add_noise(images, self.config.instance_noise)
        layer_noise = functools.partial(self._add_noise, deviation=self.config.layer_noise)
        with self._autocast():
            return self.discriminator(
                images.contiguous(memory_format=self.memory_format),
                layer_noise if self.config.layer_noise else None,
            )

    def _add_noise(self, x: torch.Tensor, deviation: float) -> torch.Tensor:
        """Add normal noise of this standard deviation, times the annealing factor.

        Source: Jenni and Favaro 2019, "On Stabilizing Generative Adversarial Training with
        Noise", arXiv:1906.04612. The noise makes the two distributions overlap.
        """
        deviation = deviation * self.noise_scale
        if not deviation:
            return x
        noise = torch.randn(x.shape, generator=self.augment_rng)
        return x + deviation * noise.to(x)

    def _autocast(self) -> contextlib.AbstractContextManager:
        return networks.autocast(self.config.precision, self.device)

    def train_discriminator(
        self, real_images: torch.Tensor, fake_images: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Update the discriminator once: towards real images, away from generated ones.

        Source: the first study's algorithm 2 (where line 7 says G, D is meant).

        Parameters
        ----------
        real_images, fake_images
            float, shape ``(n, 3, H, W)``, in [-1, 1]; the generator gets no gradient.

        Returns
        -------
        dict of torch.Tensor
            ``d_loss_real``, ``d_loss_fake``, and the average outputs ``d_real`` = D(x) and
            ``d_fake`` = D(G(z)) as probabilities; all before the update.
        """
        # max over D:  E[log D(x)] + E[log(1 - D(G(z)))], as two cross entropies to minimise
        on_real = self.discriminate(real_images)
        on_fake = self.discriminate(fake_images.detach())  # no gradient for G
        loss_real, loss_fake = self.real_loss(on_real), self.fake_loss(on_fake)
        self.discriminator_optimizer.zero_grad()
        (loss_real + loss_fake).backward()
        self.discriminator_optimizer.step()
        if self.config.augment == "ada":
            self._update_augment_probability(on_real.detach())
        return {
            "d_loss_real": loss_real.detach(),
            "d_loss_fake": loss_fake.detach(),
            "d_real": on_real.detach().float().sigmoid().mean(),
            "d_fake": on_fake.detach().float().sigmoid().mean(),
        }

    def train_generator(self, fake_images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Update the generator once: towards images that the discriminator takes for real.

        The loss is non-saturating: it is minimised against the *real* label instead of maximised
        against the fake one, whose gradient vanishes while the discriminator wins (Goodfellow et
        al. 2014, section 3).

        Source: the first study's algorithm 3.

        Parameters
        ----------
        fake_images
            From :meth:`generate`, attached to the graph (requires grad).

        Returns
        -------
        dict of torch.Tensor
            ``g_loss``, before the update.
        """
        # max over G:  E[log D(G(z))], the non-saturating form of  min E[log(1 - D(G(z)))]
        self.discriminator.requires_grad_(False)  # its weight gradients are not needed
        loss = self.real_loss(self.discriminate(fake_images))
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        return {"g_loss": loss.detach()}

    def train_step(self, real_images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Update both networks and the EMA generator on one batch; return losses and outputs."""
        fake_images = self.generate(len(real_images))
        losses = self.train_discriminator(real_images, fake_images)
        losses |= self.train_generator(fake_images)
        self._update_ema()
        return losses

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Update the exponential moving average of the generator.

        The decay is smaller in the first steps, so that the initial weights are soon forgotten.
        """
        self.steps += 1
        decay = min(self.config.ema, self.steps / (self.steps + 9))
        pairs = zip(_tensors(self.ema), _tensors(self.generator), strict=True)
        for average, current in pairs:
            if average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)

    def is_finite(self) -> bool:
        """Return whether all weights and running statistics are finite."""
        tensors = (*_tensors(self.generator), *_tensors(self.discriminator))
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later training steps depend on, as tensors and plain types."""
        return {
            "steps": self.steps,
            "augment_probability": self.augment_probability,
            **{name: getattr(self, name).state_dict() for name in _PARTS},
            **{name: getattr(self, name).get_state() for name in _STREAMS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self.steps = state["steps"]
        self.augment_probability = state["augment_probability"]
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["fused"] = self._fused  # the state may come from another device
        for name in _STREAMS:
            getattr(self, name).set_state(state[name])


_PARTS = ("generator", "discriminator", "ema", "generator_optimizer", "discriminator_optimizer")
_STREAMS = ("noise_rng", "augment_rng")


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
