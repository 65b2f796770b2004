// The slider of reconstructions, and the choice of a theme. No library, no request.
document.querySelectorAll('.slider input').forEach(function (slider) {
  var section = slider.closest('section');
  function show() {
    section.querySelectorAll('figure[data-frames]').forEach(function (figure) {
      var frames = JSON.parse(figure.dataset.frames);
      var index = Math.round(slider.value / slider.max * (frames.length - 1));
      figure.querySelectorAll('img').forEach(function (image, number) { image.hidden = number !== index; });
      figure.querySelector('.frame').textContent = frames[index];
    });
  }
  slider.addEventListener('input', show);
  show();
});
document.getElementById('theme').addEventListener('click', function () {
  var root = document.documentElement;
  var dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
});
