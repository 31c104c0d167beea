"""The regressor of sequences.

Why this file is long: half of it describes parameters and attributes, for help() and its readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin

from lstmcore._attributions import check_columns, chosen_scores
from lstmcore._estimator import BaseLSTM
from lstmcore._fit_samples import Head
from lstmcore._fitting import FitCourse, fit_method
from lstmcore._parameters import Constraint, choice
from lstmcore._targets import check_numbers, location_and_scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from lstmcore._network import FloatArray
    from lstmcore._sequences import Sequences


class LSTMRegressor(RegressorMixin, BaseLSTM):
    """LSTM network that learns one or more numbers per sequence.

    The network learns standardised targets: from each column of y its weighted mean is subtracted,
    and the rest is divided by its weighted standard deviation. Predictions are scaled back. So
    neither the unit of y nor its offset matters, and `loss_` is the loss in that scale.

    A fit is a function of the weighted set of samples: neither their order nor whether a sample is
    given twice or with the weight 2 changes a bit of it.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default="squared_error"
        Loss of one output: the squared error, or the Huber loss, which is quadratic up to an error
        of one standard deviation of the targets and linear beyond, and so heeds outliers less.
    hidden_size : int or tuple of int, default=64
        Number of hidden units; a tuple stacks as many recurrent layers, the lowest first.
    cell : {"lstm", "gru", "rnn"} or object of `lstmcore.cells`, default="lstm"
        What the recurrent layers are made of.
    bidirectional : bool, default=False
        Whether beside each layer a second one of as many units reads the sequence from its end to
        its start; the layer above, or the pooling, gets the units of both. Not for `step`.
    residual : bool, default=False
        Whether to the output of each layer above the lowest its input is added, before dropout
        acts on either; all `hidden_size` must then be equal. One layer has nothing to add.
    dropout : float, default=0.0
        Probability in [0, 1) that a unit is dropped in training, between stacked layers and
        before the head; never between time steps.
    recurrent_dropout : float, default=0.0
        Probability in [0, 1) that a unit of the candidate is dropped in training, at each step: its
        state then gets nothing new, but keeps what it has (Semeniuta et al. 2016). Other masks are
        options of `lstmcore.cells`.
    pooling : {"last", "mean", "max", "attention"}, default="last"
        How the outputs of the highest layer become one vector: that of the last step, or the mean
        or the maximum over all steps, or a mean weighted by additive attention: the weights are
        the softmax over the steps of ``q . tanh(W h_t + b)`` with learnt W, b and q; `attention`
        returns them. A sequence of length 0 gives zeros. Units that read from the
        end to the start have made their last step at the first of the sequence.
    embedding_size : int, tuple, dict or None, default=None
        With an int X consists of sequences of tokens, integers from 0 on: a list of arrays of shape
        (T_i,), or an array of shape (n_samples, n_timesteps). Each token is replaced by that many
        learnt numbers, at first between ±0.3. A dict does so with some of several features,
        {number or name of the feature: size}. In place of a size, (n_tokens, size) says how many
        tokens there are; else there are those up to the largest in samples of positive weight, and
        a larger one is an error from then on, also in `partial_fit`.
    solver : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        Optimiser, with PyTorch's formulas; "sgd" has a momentum of 0.9.
    learning_rate : float, default=1e-3
        Step size of the solver, which the schedule starts from.
    learning_rate_schedule : {"constant", "cosine", "step", "plateau"}, default="constant"
        How the step size r goes on with the epochs e = 0, 1, ..., with f = `decay_factor`,
        D = `decay_epochs` and W = `warmup_epochs`. "constant" leaves it at r; "cosine" takes
        r (f + (1 - f) (1 + cos(π p)) / 2) with p = (e - W) / (D - W), held within 0 and 1;
        "step" takes r times f to the power of e // D; "plateau" multiplies it by f each time that
        D epochs in a row brought no improvement, see `tol`.
    warmup_epochs : float, default=0
        Number of epochs over which the step size rises to what the schedule says: step s of the S
        steps of epoch e takes (e + s / S) / W of it.
    decay_epochs : int or None, default=None
        Epochs of the schedule. None is `max_iter` for "cosine", a third of it for "step" and half
        of `n_iter_no_change` for "plateau". A fit in parts (`warm_start`, `partial_fit`) needs a
        number to be equal to one in one go where `max_iter` differs.
    decay_factor : float, default=0.1
        What remains of the step size, in [0, 1).
    batch_size : int, default=32
        Number of sequences in a step of the solver.
    max_iter : int, default=100
        Largest number of epochs.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; decoupled from it for "adamw".
    max_grad_norm : float or None, default=1.0
        Gradients with a larger Euclidean norm are scaled down to it. None leaves them as they are.
    tol : float or None, default=1e-4
        A fit has converged when the training loss, or with `early_stopping` the validation score,
        was not better than its best value by at least `tol` in `n_iter_no_change` epochs in a
        row; where `max_iter` ends it before, a `ConvergenceWarning` says so. With None it is
        trained for exactly `max_iter` epochs, and there is no warning.
    n_iter_no_change : int, default=10
        Number of epochs without improvement, see `tol`.
    early_stopping : bool, default=False
        Whether to judge every epoch by samples that are not trained on, to stop when their score
        no longer improves, see `tol`, and to keep the weights of the best epoch. The samples are
        ``validation_data`` of `fit` where given, else some of the training samples.
    validation_fraction : float, default=0.1
        Share of the samples that `early_stopping` holds out; of the groups where there are some.
    validation_split : {"auto", "random", "stratified", "ordered"} or splitter, default="auto"
        Which samples are held out. "auto" keeps `groups` of `fit` together, else it stratifies
        by class where each sample has one, else it draws at random. "ordered" takes the last
        samples, for those that come in the order of time. A splitter of scikit-learn, such as
        ``TimeSeriesSplit()``, decides by its last split. What is drawn depends on the contents of
        the samples alone: equal samples stay together, and their order does not matter; it does
        for "ordered" and for splitters.
    validation_scoring : "loss", str, callable or None, default="loss"
        How an epoch is judged: "loss" is minus the loss, other names are those of scikit-learn's
        scorers, None is `score`.
    n_timesteps : int, default=1
        Time steps in a row of a 2-D X: the row holds the features of the first step, then those
        of the second, and so on. Other forms of X say themselves how many steps they have.
    missing : {"error", "mask"}, default="error"
        What NaN in X means. "error" refuses it and says where it is. "mask" takes it for a missing
        value: the network sees 0 in its place and, for each feature that misses a value in `fit`,
        one more input that is 1 where the value is missing. Scale X to a mean of 0, for instance
        by `SequenceScaler`, which leaves NaN alone: 0 is then the mean. A feature that missed
        nothing in `fit` must miss nothing in `predict`.
    tbptt_steps : int or None, default=None
        Truncated backpropagation through time [1]_: the gradient of the states goes back through
        at most this many steps. Each sequence is cut into windows of so many steps, counted back
        from its end, and what a window begins with counts as given; pooling still sees every step.
        Memory is bounded by the window, and with `pooling` "last" a long sequence costs one pass
        forward and one window back. None goes back through all steps, and so does, to the bit, a
        window as long as the longest sequence. Not with `bidirectional`.
    memory : {"all", "recompute"}, default="all"
        What a step of the solver keeps [2]_. "all" keeps the gates of every step of the sequences
        that are worked on; "recompute" keeps the states at some steps and makes the gates again
        when their gradient is due: memory grows with the square root of the length in place of the
        length, the forward pass is done twice, and every bit of the result is the same. Not with
        `bidirectional`, and not needed with `tbptt_steps`.
    warm_start : bool, default=False
        With True, `fit` goes on where the last fit with True ended, solver and shuffling included:
        two fits of 50 epochs give the bits of one fit of 100. Ctrl-C then keeps the epochs that
        were over. The solver's state is kept for this, which triples the size of a pickle.
    random_state : int, RandomState, Generator or None, default=None
        Decides the initial weights, the shuffling of the samples and dropout. With an int, every
        fit of the same samples gives the same bits.
    n_jobs : int or None, default=None
        Number of threads; None means all that this process may use, -1 likewise, -2 all but one.
        Results do not depend on it. joblib's worker processes share the CPUs; under its threading
        backend every fit takes as many threads as it is told, so tell it 1.
    dtype : {"float32", "float64"}, default="float32"
        Precision in which the network is trained and run.
    verbose : bool or int, default=0
        0 shows nothing. 1 shows the progress of `fit` on standard output: a bar if the package
        ``rich`` is installed (the extra ``lstmcore[progress]``), else a line per epoch.

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs_,)
        Weighted mean and standard deviation of y, 1 in place of a deviation of 0.
    n_features_in_ : int
        Number of features of a time step; 1 where it is a token.
    missing_features_ : ndarray of shape (n_missing,), intp
        The features that missed a value in `fit`; each of them has an indicator.
    n_tokens_ : dict of int to int
        Number of each feature that holds tokens → number of its tokens, from 0 on.
    feature_names_in_ : ndarray of shape (n_columns,)
        Names of the columns, where X was a frame whose columns are named by strings.
    n_outputs_ : int
        Number of outputs of the network.
    coefs_ : ndarray of shape (n_parameters,)
        All weights in one flat, read-only array of `dtype`.
    layout_ : dict
        Name → (shape, offset) of every array in `coefs_`: ``weight_ih_l0``, ``weight_hh_l0`` and
        ``bias_l0`` with gates in the order input, forget, candidate, output; likewise ``_l1``
        and so on; ``attention_weight``, ``attention_bias`` and ``attention_query`` of attention
        pooling; then ``head_weight`` and ``head_bias``; and ``embedding_weight_0``, a row for each
        token, of feature 0 and so on.
    parameters_ : dict
        Name → read-only view into `coefs_` in its shape.
    n_iter_ : int
        Number of epochs.
    validation_scores_ : list of float
        Score of every epoch on the validation samples, where there were some.
    best_validation_score_ : float
        The highest of them.
    best_iteration_ : int
        With `early_stopping`, the number of the epoch, from 1, whose weights were kept.
    loss_ : float
        Training loss of the last epoch, in the scale of the standardised targets.
    loss_curve_ : list of float
        Training loss of every epoch.
    history_ : list of dict
        For every epoch ``"epoch"``, ``"loss"``, ``"learning_rate"`` of its last step,
        ``"gradient_norm"`` and ``"gradient_norm_max"`` (mean and maximum over its steps, before
        clipping), ``"clipped"`` (share of steps with a gradient that was scaled down),
        ``"parameter_norm"`` at its end, ``"seconds"``, ``"samples_per_second"`` and, where there
        were validation samples, ``"validation_score"``.

    See Also
    --------
    LSTMClassifier : Learns labels instead of numbers.

    References
    ----------
    .. [1] R. J. Williams, J. Peng. An efficient gradient-based algorithm for on-line training of
       recurrent network trajectories. Neural Computation 2 (1990).
    .. [2] T. Chen, B. Xu, C. Zhang, C. Guestrin. Training deep nets with sublinear memory cost.
       arXiv:1604.06174 (2016).

    Examples
    --------
    The sum of a sequence:

    >>> import numpy as np
    >>> from lstmcore import LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.uniform(size=(rng.integers(2, 9), 1)) for _ in range(200)]
    >>> y = np.array([x.sum() for x in X])
    >>> model = LSTMRegressor(hidden_size=16, learning_rate=0.01, random_state=0, tol=None)
    >>> model.fit(X, y).score(X, y) > 0.98
    True
    """

    _kind = "LSTMRegressor"

    def __init__(
        self,
        *,
        loss: str = "squared_error",
        hidden_size: int | tuple[int, ...] = 64,
        cell: Any = "lstm",
        bidirectional: bool = False,
        residual: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        pooling: str = "last",
        embedding_size: Any = None,
        solver: str = "adam",
        learning_rate: float = 1e-3,
        learning_rate_schedule: str = "constant",
        warmup_epochs: float = 0,
        decay_epochs: int | None = None,
        decay_factor: float = 0.1,
        batch_size: int = 32,
        max_iter: int = 100,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = 1.0,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_split: Any = "auto",
        validation_scoring: Any = "loss",
        n_timesteps: int = 1,
        missing: str = "error",
        tbptt_steps: int | None = None,
        memory: str = "all",
        warm_start: bool = False,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
        dtype: str = "float32",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size,
            cell=cell,
            bidirectional=bidirectional,
            residual=residual,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            pooling=pooling,
            embedding_size=embedding_size,
            solver=solver,
            learning_rate=learning_rate,
            learning_rate_schedule=learning_rate_schedule,
            warmup_epochs=warmup_epochs,
            decay_epochs=decay_epochs,
            decay_factor=decay_factor,
            batch_size=batch_size,
            max_iter=max_iter,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            validation_split=validation_split,
            validation_scoring=validation_scoring,
            n_timesteps=n_timesteps,
            missing=missing,
            tbptt_steps=tbptt_steps,
            memory=memory,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            dtype=dtype,
            verbose=verbose,
        )
        self.loss = loss

    _encoding_attributes = ("_flat_targets", "target_mean_", "target_scale_")
    _constraints: ClassVar[Mapping[str, Constraint]] = {
        **BaseLSTM._constraints,
        "loss": choice("squared_error", "huber"),
    }

    @fit_method
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        validation_data: tuple[Any, ...] | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the network to sequences and their targets.

        Parameters
        ----------
        X : array-like
            Sequences: an array of shape (n_samples, n_timesteps, n_features), a list of arrays of
            shape (T_i, n_features) of different lengths, 0 included, or an array or frame of
            shape (n_samples, n_timesteps * n_features), see `n_timesteps`.
            An array of the estimator's `dtype` is read where it lies: a `numpy.memmap` may be
            larger than memory. One of another dtype is converted as a whole.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0. A sample of weight 0 counts as absent.
        validation_data : tuple, default=None
            (X, y) or (X, y, sample_weight): samples that every epoch is judged on and nothing is
            learnt from. With `early_stopping` they decide its end, and no other sample is held
            out; else their scores are only recorded.
        groups : array-like of shape (n_samples,), default=None
            Groups of samples of which `early_stopping` must not hold out a part.

        Returns
        -------
        self : LSTMRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not as described, or if the training diverges.
            The estimator is then as it was before.
        TypeError
            If a parameter has the wrong type.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If `max_iter` ends the fit while there still is improvement, see `tol`.
        """
        return self._fit(FitCourse(X, y, sample_weight, validation_data, groups))

    @fit_method
    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one more epoch, on samples that may be new ones.

        The first call begins as `fit` does. Others go on exactly: n calls with the same samples
        give the bits of a `fit` of n epochs. After a `fit` without `warm_start` the weights go
        on, and the solver begins anew. `tol` and `max_iter` do not count, `early_stopping` is an
        error.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers. Those of the first call set the scale of the network's outputs.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0. A sample of weight 0 counts as absent.

        Returns
        -------
        self : LSTMRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`; and if the samples do not fit those of the calls before.
        TypeError
            If a parameter has the wrong type.
        """
        return self._fit(FitCourse(X, y, sample_weight, partial=True))

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict numbers.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            Of the shape that y had in `fit`. For an empty list of sequences it is empty.

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        numbers: NDArray[np.float64] = self._run(X, "predict")
        return numbers

    _links: ClassVar[dict[str, bool]] = {"predict": True}

    def _predictions(self, outputs: FloatArray, method: str) -> Any:  # noqa: ARG002 - only one
        numbers: NDArray[np.float64] = outputs * self.target_scale_ + self.target_mean_
        return numbers[:, 0] if self._flat_targets else numbers

    def _score_weights(self, target: Any, sequences: Sequences) -> FloatArray:
        columns = check_columns(target, self.n_outputs_, sequences.n_samples)
        # In the unit of y.
        chosen = chosen_scores(columns, self.n_outputs_, self.dtype)
        weights: FloatArray = (chosen * self.target_scale_).astype(self.dtype)
        return weights

    def _check_targets(self, y: ArrayLike) -> NDArray[Any]:
        return check_numbers(y, type(self).__name__)

    def _learn_encoding(self, y: NDArray[Any]) -> dict[str, Any]:
        return {"_flat_targets": y.ndim == 1}

    def _check_continued(self, y: NDArray[Any], encoding: Mapping[str, Any]) -> None:
        """Accept all numbers: `_encode` looks at their shape."""

    def _encode(self, y: NDArray[Any], encoding: Mapping[str, Any], name: str) -> NDArray[Any]:
        scale = encoding.get("target_scale_")
        same_axes = encoding["_flat_targets"] == (y.ndim == 1)
        numbers = y.reshape(len(y), -1)
        if not same_axes or not (scale is None or numbers.shape[1] == len(scale)):
            wanted = "one axis" if encoding["_flat_targets"] else "two axes"
            outputs = "" if scale is None else f" and {len(scale)} outputs"
            raise ValueError(f"{name} must have {wanted}{outputs} here, got the shape {y.shape}.")
        return numbers

    def _build_head(
        self, codes: NDArray[Any], weights: NDArray[np.float64], encoding: dict[str, Any]
    ) -> Head:
        # A fit that goes on keeps the scale in which the network has learnt so far.
        if "target_mean_" not in encoding:
            mean, scale = location_and_scale(codes, weights)
            encoding |= {"target_mean_": mean, "target_scale_": scale}
        return Head(codes.shape[1], "identity", self.loss, encoding)

    def _core_targets(self, codes: NDArray[Any], head: Head) -> NDArray[Any]:
        mean, scale = head.fitted["target_mean_"], head.fitted["target_scale_"]
        return np.ascontiguousarray((codes - mean) / scale, self.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
